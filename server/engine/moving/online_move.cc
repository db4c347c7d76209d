#include "server/engine/moving/online_move.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/base/status_macros.h"
#include "server/engine/moving/asking.h"
#include "server/engine/moving/history.h"
#include "server/engine/moving/parallel.h"

namespace restante::moving {
namespace {

constexpr int kBlockShift = 56;
constexpr int kRoundsInVain = 2;
constexpr int64_t kSayEvery_us = 60'000'000;
constexpr size_t kReceiptsAtOnce = 1000, kListedAtOnce = 1000;

absl::Status OutcomeUnknown() {
  return absl::FailedPreconditionError("a commit's outcome is not known; the next start of the store tells");
}
absl::Status NotInTime() { return absl::UnavailableError("changes under way did not end in time"); }

}  // namespace

OnlineMove::OnlineMove(MovingEngine* engine, OnlineMoveOptions options)
    : engine_(engine), options_(std::move(options)), thread_([this] { Run(); }) {}

OnlineMove::~OnlineMove() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.Changed();
  }
  thread_.join();
}

bool OnlineMove::done() const {
  absl::MutexLock lock(&mutex_);
  return done_;
}

absl::Status OnlineMove::Stopped() const {
  absl::MutexLock lock(&mutex_);
  return stopping_ ? absl::CancelledError("the store is being closed") : absl::OkStatus();
}

bool OnlineMove::Sleep(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  return !changed_.AwaitFor(&mutex_, duration, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stopping_; });
}

void OnlineMove::Run() {
  while (Stopped().ok()) {
    const absl::Status status = Attempt();
    if (status.ok()) {
      options_.say(absl::StrCat("moved to ", options_.places.to, ", and served from there"), false);
      absl::MutexLock lock(&mutex_);
      done_ = true;
      return;
    }
    engine_->StopNoting();
    comparison_.reset();
    copier_.reset();
    marked_.reset();
    to_.reset();
    if (!Stopped().ok()) return;
    options_.say(absl::StrCat("not moved: ", status.message(), "; served as before, tried again later"),
                 true);
    if (!Sleep(options_.after_error)) return;
  }
}

absl::Status OnlineMove::Attempt() {
  // Before the first look at anything.
  engine_->StartNoting();
  RETURN_IF_ERROR(Prepare());
  options_.say(absl::StrCat("moving to ", options_.places.to, " while it serves"), false);
  RETURN_IF_ERROR(CopyAll());
  absl::Duration pause = options_.pause;
  while (true) {
    RETURN_IF_ERROR(CatchUp().status());
    ASSIGN_OR_RETURN(const bool changed_over, ChangeOver());
    if (changed_over) return absl::OkStatus();
    options_.say(
        absl::StrCat("what was promised did not end within ", absl::FormatDuration(options_.drain_patience),
                     ", or too much changes: changing over later"),
        false);
    if (!Sleep(pause)) return Stopped();
    pause = std::min(2 * pause, 20 * options_.pause);
  }
}

absl::Status OnlineMove::Prepare() {
  ASSIGN_OR_RETURN(to_, options_.open(/*to_serve=*/false));
  marked_ = std::make_unique<MarkedMove>(engine_->from(), to_.get(), options_.places);
  RETURN_IF_ERROR(marked_->Begin());
  first_number_ = ((engine_->from()->NewNumber() >> kBlockShift) + 1) << kBlockShift;
  if (to_->NewNumber() < first_number_) {
    // Begun just now; or without being served, and then bodies have any numbers.
    ASSIGN_OR_RETURN(const auto there, PartitionsOf(to_.get(), PartitionId::Kind::kMailbox));
    if (!there.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(options_.places.to,
                       ": holds a part of a move that was begun while the store was not served; "
                       "complete it by `restante migrate`, or empty the place"));
    }
    engine::Inheritance numbers;
    numbers.next_number = first_number_;
    RETURN_IF_ERROR(Inherit(std::move(numbers)));
    to_.reset();
    ASSIGN_OR_RETURN(to_, options_.open(/*to_serve=*/false));
    marked_->Reopened(to_.get());
  }
  copier_ = std::make_unique<Copier>(engine_->from(), to_.get(), [this] { options_.places.at("written"); });
  comparison_ = std::make_unique<Comparison>(engine_->from(), to_.get());
  absl::MutexLock lock(&mutex_);
  uncompared_.clear();
  compared_.clear();
  return absl::OkStatus();
}

absl::Status OnlineMove::Inherit(engine::Inheritance inheritance) {
  return Ask<absl::Status>([&](auto done) { to_->Inherit(std::move(inheritance), std::move(done)); });
}

// --- copying -------------------------------------------------------------------------

absl::Status OnlineMove::ForAll(const std::vector<PartitionId>& partitions, absl::string_view what,
                                absl::FunctionRef<absl::Status(PartitionId)> work) {
  return ForEach(
      partitions.size(), options_.width,
      [&](size_t i) -> absl::Status {
        RETURN_IF_ERROR(Stopped());
        return work(partitions[i]);
      },
      [&](uint64_t done) {
        Pace();
        const int64_t now = Clock::System()->MonotonicMicros();
        if (said_us_ == 0) said_us_ = now;
        if (now - said_us_ < kSayEvery_us) return;
        said_us_ = now;
        options_.say(absl::StrCat(what, " ", done, " of ", partitions.size()), false);
      });
}

absl::Status OnlineMove::CopyAll() {
  RETURN_IF_ERROR(TakeOverTime(engine_->from(), to_.get()));
  const auto copy = [this](PartitionId partition) { return copier_->Copy(partition); };
  ASSIGN_OR_RETURN(const auto domains, PartitionsOf(engine_->from(), PartitionId::Kind::kDomain));
  RETURN_IF_ERROR(ForAll(domains, "domains copied:", copy));
  ASSIGN_OR_RETURN(const auto mailboxes, PartitionsOf(engine_->from(), PartitionId::Kind::kMailbox));
  RETURN_IF_ERROR(ForAll(mailboxes, "mailboxes copied:", copy));
  RETURN_IF_ERROR(CopyReceipts(engine_->from(), to_.get()).status());
  options_.places.at("copied");
  RETURN_IF_ERROR(Compare(mailboxes));
  options_.places.at("compared");
  return absl::OkStatus();
}

absl::Status OnlineMove::CopyChanges(const MovingEngine::Changes& changes) {
  // Domains before their mailboxes.
  for (const PartitionId::Kind kind :
       {PartitionId::Kind::kDirectory, PartitionId::Kind::kDomain, PartitionId::Kind::kMailbox}) {
    std::vector<PartitionId> some;
    for (const PartitionId partition : changes.partitions) {
      if (partition.kind == kind) some.push_back(partition);
    }
    RETURN_IF_ERROR(
        ForAll(some, "changes copied:", [this](PartitionId partition) { return copier_->Copy(partition); }));
  }
  for (size_t at = 0; at < changes.receipts.size(); at += kReceiptsAtOnce) {
    engine::Inheritance some;
    const auto begin = changes.receipts.begin() + static_cast<ptrdiff_t>(at);
    some.receipts.assign(
        begin, begin + static_cast<ptrdiff_t>(std::min(kReceiptsAtOnce, changes.receipts.size() - at)));
    RETURN_IF_ERROR(Inherit(std::move(some)));
  }
  return absl::OkStatus();
}

void OnlineMove::Pace() {
  if (may_come_ == allowed_) return;
  // Each change is copied and compared: half of one for two that have passed.
  const uint64_t now = std::clamp((Passed() - passed_before_) / 4, allowed_, may_come_);
  engine_->Allow(now - allowed_);
  allowed_ = now;
}

absl::StatusOr<bool> OnlineMove::CatchUp() {
  const absl::Cleanup all = [this] {
    may_come_ = allowed_ = 0;
    engine_->AllowAll();
  };
  uint64_t least = UINT64_MAX;
  bool said = false;
  for (int in_vain = 0; in_vain < kRoundsInVain;) {
    RETURN_IF_ERROR(Stopped());
    if (engine_->HasUnknown()) return OutcomeUnknown();
    const MovingEngine::Changes changes = engine_->TakeChanges();
    const bool paced = changes.count > options_.left_at_most;
    if (paced && !std::exchange(said, true)) {
      options_.say(absl::StrCat(changes.count, " changes came meanwhile: until they are copied, new mail is ",
                                "let in at the pace of the copy"),
                   false);
    }
    may_come_ = paced ? changes.count / 2 : 0;
    allowed_ = paced ? options_.left_at_most / 2 : 0;
    passed_before_ = Passed();
    if (paced) {
      engine_->Allow(allowed_);
    } else {
      engine_->AllowAll();
    }
    RETURN_IF_ERROR(CopyChanges(changes));
    std::set<PartitionId> again;
    {
      absl::MutexLock lock(&mutex_);
      again.swap(uncompared_);
    }
    for (const PartitionId partition : changes.partitions) {
      if (partition.kind == PartitionId::Kind::kMailbox) again.insert(partition);
    }
    RETURN_IF_ERROR(Compare({again.begin(), again.end()}));
    if (paced) engine_->Allow(may_come_ - allowed_);
    options_.places.at("round");
    if (changes.count <= options_.left_at_most) return true;
    in_vain = changes.count < least ? 0 : in_vain + 1;
    least = std::min(least, changes.count);
  }
  return false;
}

// --- comparing -----------------------------------------------------------------------

absl::Status OnlineMove::CompareOne(PartitionId mailbox) {
  uint64_t from_uid = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (const auto it = compared_.find(mailbox); it != compared_.end()) from_uid = it->second;
  }
  ASSIGN_OR_RETURN(const engine::ReadResult read, Read(engine_->from(), mailbox));
  const uint64_t until_uid = std::max(from_uid, read.head ? read.head->mailbox().uid_next() : 0);
  // Each text once, whatever else changes meanwhile.
  RETURN_IF_ERROR(comparison_->CompareTexts(mailbox, from_uid, until_uid));
  {
    absl::MutexLock lock(&mutex_);
    compared_[mailbox] = until_uid;
  }
  return comparison_->Compare(mailbox, until_uid);
}

absl::Status OnlineMove::Compare(const std::vector<PartitionId>& mailboxes) {
  return ForAll(mailboxes, "mailboxes compared:", [this](PartitionId mailbox) -> absl::Status {
    const absl::Status compared = CompareOne(mailbox);
    // (A text may have gone meanwhile.)
    if (!absl::IsDataLoss(compared) && !absl::IsNotFound(compared)) return compared;
    absl::MutexLock lock(&mutex_);
    uncompared_.insert(mailbox);
    return absl::OkStatus();
  });
}

absl::Status OnlineMove::FindOthers(std::set<PartitionId>* found) {
  for (const PartitionId::Kind kind : {PartitionId::Kind::kDomain, PartitionId::Kind::kMailbox}) {
    std::map<uint64_t, std::string> heads[2];
    Engine* const engines[2] = {engine_->from(), to_.get()};
    for (int i = 0; i < 2; ++i) {
      while (true) {
        const uint64_t after = heads[i].empty() ? 0 : heads[i].rbegin()->first;
        ASSIGN_OR_RETURN(const Listed some, ListPartitions(engines[i], kind, after, kListedAtOnce));
        if (some.empty()) break;
        for (const auto& [number, head] : some) heads[i][number] = head.SerializeAsString();
      }
    }
    for (const auto& [number, head] : heads[0]) {
      const auto it = heads[1].find(number);
      if (it == heads[1].end() || it->second != head) found->insert({kind, number});
    }
    for (const auto& [number, head] : heads[1]) {
      if (heads[0].count(number) == 0) found->insert({kind, number});
    }
  }
  return absl::OkStatus();
}

// --- changing over -------------------------------------------------------------------

absl::StatusOr<bool> OnlineMove::ChangeOver() {
  if (!engine_->Drain(options_.drain_patience)) return false;
  options_.places.at("drained");
  // No mail comes: also where more came than was copied, now there is an end.
  const absl::StatusOr<bool> caught_up = CatchUp();
  if (!caught_up.ok() || !*caught_up) {
    engine_->GoOn();
    return caught_up;
  }
  if (!engine_->Freeze(options_.freeze_patience)) return NotInTime();
  options_.places.at("frozen");
  const absl::Status finished = Finish();
  if (finished.ok()) return true;
  engine_->GoOn();
  return finished;
}

absl::Status OnlineMove::Finish() {
  if (engine_->HasUnknown()) return OutcomeUnknown();
  MovingEngine::Changes changes = engine_->TakeChanges();
  RETURN_IF_ERROR(FindOthers(&changes.partitions));
  changes.partitions.insert(PartitionId::Directory());
  RETURN_IF_ERROR(CopyChanges(changes));
  RETURN_IF_ERROR(CopyEvents(engine_->from(), to_.get()).status());
  // Nobody changes anything now.
  std::set<PartitionId> rest = changes.partitions;
  {
    absl::MutexLock lock(&mutex_);
    rest.merge(uncompared_);
  }
  const absl::Status compared = [&]() -> absl::Status {
    RETURN_IF_ERROR(ForAll({rest.begin(), rest.end()}, "compared:", [this](PartitionId partition) {
      return partition.kind == PartitionId::Kind::kMailbox ? CompareOne(partition)
                                                           : comparison_->Compare(partition);
    }));
    return comparison_->CompareEvents();
  }();
  if (!compared.ok()) return Annotate(compared, absl::StrCat("comparing with ", options_.places.to));
  // From here on it is opened as it is served.
  copier_.reset();
  comparison_.reset();
  to_.reset();
  ASSIGN_OR_RETURN(to_, options_.open(/*to_serve=*/true));
  marked_->Reopened(to_.get());
  const absl::Status committed = marked_->Commit();
  // Whether it is moved only a start tells.
  if (absl::IsUnknown(committed)) options_.give_up();
  RETURN_IF_ERROR(committed);
  // Past the commit point there is no way back: it is served from there, and whoever starts
  // the store where it was hears so.
  const absl::Status arrived = marked_->Arrive();
  if (!arrived.ok()) {
    options_.say(absl::StrCat("the mark in ", options_.places.to, " is missing (", arrived.message(),
                              "): `restante migrate` sets it before the next start"),
                 true);
  }
  marked_.reset();
  engine_->Switch(std::move(to_), first_number_);
  options_.places.at("switched");
  return absl::OkStatus();
}

}  // namespace restante::moving
