#include "server/engine/moving/move.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/status_macros.h"
#include "server/base/steady_condition.h"
#include "server/engine/moving/asking.h"
#include "server/engine/moving/comparison.h"
#include "server/engine/moving/copier.h"
#include "server/engine/moving/history.h"
#include "server/engine/moving/marks.h"

namespace restante::moving {
namespace {

constexpr absl::Duration kReportEvery = absl::Milliseconds(200);

class Mover {
 public:
  Mover(Engine* from, Engine* to, const MoveOptions& options)
      : from_(from),
        to_(to),
        options_(options),
        copier_(from, to, [&options] { options.at("written"); }),
        comparison_(from, to) {}

  absl::StatusOr<Moved> Run() {
    MarkedMove marked(from_, to_, {options_.from, options_.to, options_.clock, options_.at});
    RETURN_IF_ERROR(marked.Begin());
    if (!marked.complete()) {
      RETURN_IF_ERROR(CopyAll());
      RETURN_IF_ERROR(CompareAll());
      options_.at("compared");
      RETURN_IF_ERROR(marked.Commit());
    }
    RETURN_IF_ERROR(marked.Arrive());
    return moved_;
  }

 private:
  void Report() {
    progress_.octets = progress_.comparing ? comparison_.passed_octets() : copier_.passed_octets();
    options_.report(progress_);
  }

  // Does it for all, as many at once as may be; ends with the first error.
  absl::Status ForEach(PartitionId::Kind kind, const std::set<uint64_t>& numbers,
                       const std::function<absl::Status(PartitionId)>& work) {
    const std::vector<uint64_t> all(numbers.begin(), numbers.end());
    const size_t width = std::min<size_t>(static_cast<size_t>(options_.width), all.size());
    std::atomic<size_t> next{0}, done{0};
    absl::Mutex mutex;
    SteadyCondition changed;
    size_t running = width;
    absl::Status failed;
    std::atomic<bool> ended{false};
    const auto run = [&] {
      for (size_t i = next++; i < all.size() && !ended; i = next++) {
        const absl::Status status = work({kind, all[i]});
        ++done;
        if (status.ok()) continue;
        ended = true;
        absl::MutexLock lock(&mutex);
        failed.Update(status);
      }
      absl::MutexLock lock(&mutex);
      --running;
      changed.Changed();
    };
    std::vector<std::thread> threads;
    for (size_t i = 0; i < width; ++i) threads.emplace_back(run);
    for (bool over = false; !over;) {
      {
        absl::MutexLock lock(&mutex);
        over = changed.AwaitFor(&mutex, kReportEvery, [&] { return running == 0; });
      }
      if (kind == PartitionId::Kind::kMailbox) progress_.mailboxes = done;
      Report();
    }
    for (std::thread& thread : threads) thread.join();
    return failed;
  }

  absl::Status CopyAll() {
    // First of all, for ages are counted by it.
    RETURN_IF_ERROR(TakeOverTime(from_, to_));
    uint64_t octets = 0;
    ASSIGN_OR_RETURN(domains_, NumbersOf(from_, PartitionId::Kind::kDomain, nullptr));
    ASSIGN_OR_RETURN(mailboxes_, NumbersOf(from_, PartitionId::Kind::kMailbox, &octets));
    progress_ = {.total_mailboxes = mailboxes_.size(), .total_octets = octets};
    const auto copy = [this](PartitionId partition) { return copier_.Copy(partition); };
    RETURN_IF_ERROR(ForEach(PartitionId::Kind::kDomain, domains_, copy));
    RETURN_IF_ERROR(ForEach(PartitionId::Kind::kMailbox, mailboxes_, copy));
    // What an earlier run has copied, and is no more.
    for (const PartitionId::Kind kind : {PartitionId::Kind::kMailbox, PartitionId::Kind::kDomain}) {
      ASSIGN_OR_RETURN(const std::set<uint64_t> there, NumbersOf(to_, kind, nullptr));
      const std::set<uint64_t>& wanted = kind == PartitionId::Kind::kMailbox ? mailboxes_ : domains_;
      for (const uint64_t number : there) {
        if (wanted.count(number) == 0) RETURN_IF_ERROR(copier_.Copy({kind, number}));
      }
    }
    RETURN_IF_ERROR(copier_.Copy(PartitionId::Directory()));
    options_.at("directory copied");
    moved_.mailboxes = mailboxes_.size();
    moved_.bodies = copier_.bodies();
    ASSIGN_OR_RETURN(moved_.receipts, CopyReceipts(from_, to_));
    options_.at("receipts copied");
    ASSIGN_OR_RETURN(moved_.events, CopyEvents(from_, to_));
    options_.at("events copied");
    return absl::OkStatus();
  }

  absl::Status CompareAll() {
    progress_.comparing = true;
    progress_.mailboxes = 0;
    const auto compare = [this](PartitionId partition) { return comparison_.Compare(partition); };
    const absl::Status compared = [&]() -> absl::Status {
      RETURN_IF_ERROR(comparison_.Compare(PartitionId::Directory()));
      RETURN_IF_ERROR(ForEach(PartitionId::Kind::kDomain, domains_, compare));
      RETURN_IF_ERROR(ForEach(PartitionId::Kind::kMailbox, mailboxes_, compare));
      for (const PartitionId::Kind kind : {PartitionId::Kind::kMailbox, PartitionId::Kind::kDomain}) {
        ASSIGN_OR_RETURN(const std::set<uint64_t> there, NumbersOf(to_, kind, nullptr));
        if (there == (kind == PartitionId::Kind::kMailbox ? mailboxes_ : domains_)) continue;
        return absl::DataLossError(
            absl::StrCat("it holds ", there.size(), " partitions of a kind of which there are ",
                         mailboxes_.size(), " mailboxes and ", domains_.size(), " domains"));
      }
      RETURN_IF_ERROR(comparison_.CompareReceipts());
      RETURN_IF_ERROR(comparison_.CompareEvents());
      ASSIGN_OR_RETURN(const std::vector<std::string> problems,
                       Ask<absl::StatusOr<std::vector<std::string>>>(
                           [&](auto done) { to_->VerifyBodies([](uint64_t) {}, std::move(done)); }));
      if (!problems.empty()) return absl::DataLossError(problems.front());
      return absl::OkStatus();
    }();
    moved_.messages = comparison_.messages();
    moved_.octets = comparison_.passed_octets();
    return Annotate(compared, absl::StrCat("comparing with ", options_.to));
  }

  Engine* const from_;
  Engine* const to_;
  const MoveOptions& options_;
  Copier copier_;
  Comparison comparison_;
  std::set<uint64_t> domains_, mailboxes_;
  Moved moved_;
  MoveProgress progress_;
};

}  // namespace

absl::StatusOr<Moved> MoveStore(Engine* from, Engine* to, const MoveOptions& options) {
  return Mover(from, to, options).Run();
}

}  // namespace restante::moving
