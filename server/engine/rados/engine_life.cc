// What says that this store lives, and tells when others do not; and store time.
#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/engine/house.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

constexpr char kStoreTime[] = "store-time", kBeat[] = "beat";
// After so many intervals without success nothing is promised; others wait twice as long.
constexpr int kSilentIntervals = 3, kDeadIntervals = 6;
// Observations of other stores that are kept.
constexpr size_t kSeenAtMost = 10'000;
constexpr int64_t kSeenFor_us = int64_t{3600} * 1'000'000;

uint64_t NumberIn(const ObjectRead& read, const char* name) {
  const auto it = read.xattrs.find(name);
  return it == read.xattrs.end() ? 0 : FromHex(it->second).value_or(0);
}

}  // namespace

absl::Status RadosEngine::Begin() {
  const auto begin = [](RadosEngine* engine) -> Task<absl::Status> {
    while (true) {
      ReadOp read_op = engine->index_->NewRead();
      read_op.Xattrs();
      const ObjectRead read = co_await engine->index_->Read(kStoreObject, std::move(read_op));
      if (read.result < 0 && read.result != -ENOENT) co_return ToStatus(read.result, kStoreObject);
      if (read.result == -ENOENT && !engine->options_.create) {
        co_return absl::NotFoundError(
            absl::StrCat("pool `", engine->options_.pool_index,
                         "` holds no store: make one with `restante-store init-cluster`"));
      }
      const auto before = read.xattrs.find(kIncarnation);
      engine->incarnation_ = NumberIn(read, kIncarnation) + 1;
      engine->store_time_base_ = NumberIn(read, kStoreTime);
      engine->NoteScrubOf(read);
      WriteOp op = engine->index_->NewWrite();
      if (read.result == -ENOENT) op.Create(/*exclusive=*/true).SetXattr("format", "1");
      if (read.result == 0) {
        op.CompareXattr(kIncarnation, before == read.xattrs.end() ? "" : before->second);
      }
      op.SetXattr(kIncarnation, Hex(engine->incarnation_))
          .SetOmap({{absl::StrCat(kRunPrefix, Hex(engine->incarnation_)), ""}});
      const int result = co_await engine->index_->Write(kStoreObject, std::move(op));
      if (result == 0) break;
      if (result != -ECANCELED && result != -EEXIST) co_return ToStatus(result, kStoreObject);
    }
    engine->next_number_ = (engine->incarnation_ << kIncarnationShift) + 1;
    CO_RETURN_IF_ERROR(co_await engine->Beat());
    CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> domains,
                        co_await engine->ListedNumbers(PartitionId::Kind::kDomain, 0, SIZE_MAX));
    engine->domains_ = domains.size();
    engine->BeginHints();
    engine->RunAlone(engine->RecordMissed());
    // The directory is always there.
    Step step;
    step.run = [](Draft& draft) {
      if (draft.state().exists) return true;
      draft.state().exists = true;
      draft.state().head.mutable_directory();
      draft.Touch();
      return true;
    };
    co_return co_await engine->PartitionOf(PartitionId::Directory())->Post(std::move(step));
  };
  RETURN_IF_ERROR(Wait<absl::Status>(begin(this)));
  BeatLater();
  LookAroundLater();
  SweepLater();
  ExpireLater();
  LookAtDeadlines();
  return absl::OkStatus();
}

uint64_t RadosEngine::NewNumber() { return next_number_++; }

uint64_t RadosEngine::StoreTime() const {
  return store_time_base_ + static_cast<uint64_t>(clock_->MonotonicMicros() - start_us_) / 1'000'000;
}

Task<absl::Status> RadosEngine::Beat() {
  const std::string object = LifeObject(incarnation_);
  const int64_t now = Clock::System()->MonotonicMicros();
  WriteOp op = index_->NewWrite();
  op.AssertExists().SetXattr(kBeat, Hex(++beat_));
  int result = co_await index_->Write(object, std::move(op), /*frees=*/true);
  if (result == -ENOENT) {
    // It is the first; or others took this run for dead, and have swept after it. What it
    // does from now on has to be swept again, should it end without a word.
    if (beat_ > 1) {
      Log(LogLevel::kWarning, "other stores took this one for dead", {{"run", incarnation_}});
      // Whoever moves the store to another place believed that nobody is here any more.
      CO_ASSIGN_OR_RETURN(const stored::House house, co_await ReadHouse());
      CO_RETURN_IF_ERROR(engine::WhyNotServed(house));
    }
    WriteOp enroll = index_->NewWrite();
    enroll.SetOmap({{absl::StrCat(kRunPrefix, Hex(incarnation_)), Hex(beat_)}});
    result = co_await index_->Write(kStoreObject, std::move(enroll), /*frees=*/true);
    if (result < 0) co_return ToStatus(result, kStoreObject);
    WriteOp live = index_->NewWrite();
    live.Create(/*exclusive=*/false).SetXattr(kBeat, Hex(beat_));
    result = co_await index_->Write(object, std::move(live), /*frees=*/true);
  }
  if (result < 0) co_return ToStatus(result, object);
  const int64_t interval = absl::ToInt64Microseconds(options_.life_interval);
  if (Clock::System()->MonotonicMicros() - last_beat_us_ > kSilentIntervals * interval) {
    answered_since_us_ = Clock::System()->MonotonicMicros();
  }
  last_beat_us_ = now;
  co_return absl::OkStatus();
}

void RadosEngine::BeatLater() {
  BeginTask();
  later_->After(options_.life_interval, [this] {
    if (closing_) return EndTask();
    Run<absl::Status>(Beat(), [this](const absl::Status& status) {
      if (!status.ok())
        Log(LogLevel::kWarning, "no life sign could be written", {{"error", status.message()}});
      BeatLater();
    });
    EndTask();
  });
}

void RadosEngine::LookAroundLater() {
  BeginTask();
  later_->After(options_.life_interval, [this] {
    if (closing_) return EndTask();
    Run<absl::Status>(
        [](RadosEngine* engine) -> Task<absl::Status> {
          (co_await engine->SaveStoreTime()).IgnoreError();
          co_return co_await engine->LookAround();
        }(this),
        [this](const absl::Status&) { LookAroundLater(); });
    EndTask();
  });
}

Task<absl::Status> RadosEngine::LookAround() {
  (co_await LookForEvents()).IgnoreError();
  co_return co_await CountDomains();
}

// Another store may have got the first domain, or lost the last.
Task<absl::Status> RadosEngine::CountDomains() {
  const auto domains = co_await ListedNumbers(PartitionId::Kind::kDomain, 0, SIZE_MAX);
  if (domains.ok()) domains_ = domains->size();
  co_return domains.status();
}

// --- hints -------------------------------------------------------------------------

void RadosEngine::BeginHints() {
  if (!options_.hints) return;
  hints_ = std::make_unique<Hints>(
      index_.get(), later_.get(), [this](const std::set<std::string>& hints) { Hear(hints); },
      [this] {
        if (!closing_) RunAlone(LookAround());
      });
  hints_->Start();
}

void RadosEngine::HintDomain(uint64_t domain) { Hint(absl::StrCat(kDomainHint, Hex(domain))); }

void RadosEngine::Hear(const std::set<std::string>& hints) {
  if (closing_) return;
  bool domains = false;
  for (absl::string_view hint : hints) {
    if (hint == kEventsHint) RunAlone(LookForEvents());
    if (!absl::ConsumePrefix(&hint, kDomainHint)) continue;
    domains = true;
    if (const auto number = FromHex(hint)) RunAlone(RefreshDomain(*number));
  }
  if (domains) RunAlone(CountDomains());
}

Task<absl::Status> RadosEngine::RefreshDomain(uint64_t domain) {
  const std::shared_ptr<Partition> partition = PartitionOf(PartitionId::Domain(domain));
  int64_t since_us;
  if (!partition->Cached(&since_us)) co_return absl::OkStatus();
  Step look;
  look.run = [](Draft& draft) { return draft.IsFresh(); };
  co_return co_await partition->Post(std::move(look));
}

Task<absl::Status> RadosEngine::SaveStoreTime() {
  const uint64_t now = StoreTime();
  ReadOp read_op = index_->NewRead();
  read_op.Xattrs();
  const ObjectRead read = co_await index_->Read(kStoreObject, std::move(read_op));
  if (read.result < 0) co_return ToStatus(read.result, kStoreObject);
  NoteScrubOf(read);
  const auto before = read.xattrs.find(kStoreTime);
  if (NumberIn(read, kStoreTime) >= now) co_return absl::OkStatus();
  WriteOp op = index_->NewWrite();
  op.CompareXattr(kStoreTime, before == read.xattrs.end() ? "" : before->second)
      .SetXattr(kStoreTime, Hex(now));
  // Whoever was faster knows as much.
  const int result = co_await index_->Write(kStoreObject, std::move(op), /*frees=*/true);
  co_return result == -ECANCELED ? absl::OkStatus() : ToStatus(result, kStoreObject);
}

absl::Status RadosEngine::Promising() const {
  if (cluster_->fenced()) return absl::UnavailableError("the cluster has shut this store out (blocklisted)");
  const int64_t silent = absl::ToInt64Microseconds(options_.life_interval) * kSilentIntervals;
  if (Clock::System()->MonotonicMicros() - last_beat_us_ > silent ||
      cluster_->WaitingMicros() > absl::ToInt64Microseconds(options_.patience)) {
    return absl::UnavailableError("the cluster does not answer");
  }
  return absl::OkStatus();
}

void RadosEngine::ForgetSeen(int64_t now_us) {
  // What is forgotten is only observed anew.
  if (seen_.size() < kSeenAtMost) return;
  absl::erase_if(seen_, [&](const auto& item) { return now_us - item.second.since_us > kSeenFor_us; });
  if (seen_.size() >= kSeenAtMost) seen_.clear();
}

Task<absl::StatusOr<bool>> RadosEngine::IsDead(uint64_t incarnation, std::string* last_beat) {
  if (incarnation == incarnation_) co_return false;
  const int64_t asked = Clock::System()->MonotonicMicros();
  const std::string object = LifeObject(incarnation);
  ReadOp op = index_->NewRead();
  op.Xattrs();
  const ObjectRead read = co_await index_->Read(object, std::move(op));
  if (read.result == -ENOENT) co_return true;
  if (read.result < 0) co_return ToStatus(read.result, object);
  const int64_t now = Clock::System()->MonotonicMicros();
  const int64_t interval = absl::ToInt64Microseconds(options_.life_interval);
  absl::MutexLock lock(&mutex_);
  ForgetSeen(now);
  Seen& seen = seen_[object];
  const std::string beat = Hex(NumberIn(read, kBeat));
  if (seen.value != beat) seen = {.value = beat, .since_us = now};
  if (last_beat != nullptr) *last_beat = beat;
  // While the cluster did not answer, nobody could say that he lives.
  if (now - asked > interval) seen.since_us = now;
  seen.since_us = std::max<int64_t>(seen.since_us, answered_since_us_);
  co_return now - seen.since_us >= interval* kDeadIntervals;
}

void RadosEngine::EndLife() {
  const auto end = [](RadosEngine* engine) -> Task<absl::Status> {
    (co_await engine->SaveStoreTime()).IgnoreError();
    WriteOp op = engine->index_->NewWrite();
    op.Remove();
    int result =
        co_await engine->index_->Write(LifeObject(engine->incarnation_), std::move(op), /*frees=*/true);
    if (result < 0) co_return ToStatus(result, LifeObject(engine->incarnation_));
    WriteOp forget = engine->index_->NewWrite();
    forget.EraseOmap({absl::StrCat(kRunPrefix, Hex(engine->incarnation_))});
    result = co_await engine->index_->Write(kStoreObject, std::move(forget), /*frees=*/true);
    co_return ToStatus(result, kStoreObject);
  };
  RunAlone(end(this));
}

}  // namespace restante::rados
