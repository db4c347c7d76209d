#include "server/engine/moving/online_move.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/moving/asking.h"
#include "server/engine/moving/history.h"

namespace restante::moving {
namespace {

constexpr int kBlockShift = 56;
constexpr int kRounds = 1000;
constexpr size_t kReceiptsAtOnce = 1000, kListedAtOnce = 1000;

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
  RETURN_IF_ERROR(Prepare());
  options_.say(absl::StrCat("moving to ", options_.places.to, " while it serves"), false);
  RETURN_IF_ERROR(CopyAll());
  RETURN_IF_ERROR(CatchUp());
  RETURN_IF_ERROR(CompareAll());
  while (true) {
    RETURN_IF_ERROR(CatchUp());
    ASSIGN_OR_RETURN(const bool changed_over, ChangeOver());
    if (changed_over) return absl::OkStatus();
    options_.say("what was promised does not end: changing over later", false);
    if (!Sleep(options_.pause)) return Stopped();
  }
}

absl::Status OnlineMove::Prepare() {
  ASSIGN_OR_RETURN(to_, options_.open(/*to_serve=*/false));
  marked_ = std::make_unique<MarkedMove>(engine_->from(), to_.get(), options_.places);
  RETURN_IF_ERROR(marked_->Begin());
  first_number_ = ((engine_->from()->NewNumber() >> kBlockShift) + 1) << kBlockShift;
  if (to_->NewNumber() < first_number_) {
    // Begun just now; or without being served, and then bodies have any numbers.
    ASSIGN_OR_RETURN(const auto there, NumbersOf(to_.get(), PartitionId::Kind::kMailbox, nullptr));
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
  uncompared_.clear();
  return absl::OkStatus();
}

absl::Status OnlineMove::Inherit(engine::Inheritance inheritance) {
  return Ask<absl::Status>([&](auto done) { to_->Inherit(std::move(inheritance), std::move(done)); });
}

// --- copying -------------------------------------------------------------------------

absl::Status OnlineMove::CopyAll() {
  RETURN_IF_ERROR(TakeOverTime(engine_->from(), to_.get()));
  for (const PartitionId::Kind kind : {PartitionId::Kind::kDomain, PartitionId::Kind::kMailbox}) {
    ASSIGN_OR_RETURN(const auto numbers, NumbersOf(engine_->from(), kind, nullptr));
    for (const uint64_t number : numbers) {
      RETURN_IF_ERROR(Stopped());
      RETURN_IF_ERROR(copier_->Copy({kind, number}));
    }
  }
  RETURN_IF_ERROR(CopyReceipts(engine_->from(), to_.get()).status());
  options_.places.at("copied");
  return absl::OkStatus();
}

absl::Status OnlineMove::CopyChanges(MovingEngine::Changes changes) {
  // (Domains come first: they are less.)
  for (const PartitionId partition : changes.partitions) {
    RETURN_IF_ERROR(copier_->Copy(partition));
    if (partition.kind == PartitionId::Kind::kMailbox) uncompared_.insert(partition);
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

absl::Status OnlineMove::CatchUp() {
  for (int round = 0; round < kRounds; ++round) {
    RETURN_IF_ERROR(Stopped());
    if (engine_->HasUnknown()) {
      return absl::FailedPreconditionError(
          "a commit's outcome is not known; the next start of the store tells");
    }
    MovingEngine::Changes changes = engine_->TakeChanges();
    const size_t left = changes.partitions.size();
    RETURN_IF_ERROR(CopyChanges(std::move(changes)));
    options_.places.at("round");
    if (left <= options_.left_at_most && uncompared_.size() <= options_.left_at_most) return absl::OkStatus();
    if (left <= options_.left_at_most) RETURN_IF_ERROR(CompareAll());
  }
  return absl::UnavailableError(absl::StrCat("more changes than is copied, ", kRounds, " rounds long"));
}

// --- comparing -----------------------------------------------------------------------

// What is changed meanwhile is compared again, when it is not.
absl::Status OnlineMove::CompareAll() {
  ASSIGN_OR_RETURN(const auto mailboxes, NumbersOf(engine_->from(), PartitionId::Kind::kMailbox, nullptr));
  uncompared_.clear();
  for (const uint64_t number : mailboxes) {
    RETURN_IF_ERROR(Stopped());
    const PartitionId mailbox = PartitionId::Mailbox(number);
    const absl::Status compared = comparison_->Compare(mailbox);
    // (A text may have gone meanwhile.)
    if (!compared.ok() && !absl::IsDataLoss(compared) && !absl::IsNotFound(compared)) return compared;
    if (!compared.ok()) uncompared_.insert(mailbox);
  }
  options_.places.at("compared");
  return absl::OkStatus();
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
  if (!engine_->Freeze(options_.freeze_patience)) return NotInTime();
  options_.places.at("frozen");
  const absl::Status finished = Finish();
  if (finished.ok()) return true;
  engine_->GoOn();
  return finished;
}

absl::Status OnlineMove::Finish() {
  if (engine_->HasUnknown()) {
    return absl::FailedPreconditionError(
        "a commit's outcome is not known; the next start of the store tells");
  }
  MovingEngine::Changes changes = engine_->TakeChanges();
  RETURN_IF_ERROR(FindOthers(&changes.partitions));
  changes.partitions.insert(PartitionId::Directory());
  std::set<PartitionId> compared = changes.partitions;
  RETURN_IF_ERROR(CopyChanges(std::move(changes)));
  RETURN_IF_ERROR(CopyEvents(engine_->from(), to_.get()).status());
  // Nobody changes anything now.
  compared.insert(uncompared_.begin(), uncompared_.end());
  for (const PartitionId partition : compared) {
    RETURN_IF_ERROR(
        Annotate(comparison_->Compare(partition), absl::StrCat("comparing with ", options_.places.to)));
  }
  std::set<PartitionId> others;
  RETURN_IF_ERROR(FindOthers(&others));
  if (!others.empty()) {
    return absl::DataLossError(
        absl::StrCat("comparing with ", options_.places.to, ": ", others.size(), " heads differ"));
  }
  RETURN_IF_ERROR(comparison_->CompareEvents());
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
