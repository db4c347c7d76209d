#include "server/engine/moving/move.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/moving/asking.h"
#include "server/engine/moving/comparison.h"
#include "server/engine/moving/copier.h"
#include "server/engine/moving/history.h"
#include "server/engine/moving/marks.h"
#include "server/engine/moving/parallel.h"

namespace restante::moving {
namespace {

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
  absl::Status ForAll(const std::vector<PartitionId>& partitions,
                      absl::FunctionRef<absl::Status(PartitionId)> work) {
    return ForEach(
        partitions.size(), options_.width, [&](size_t i) { return work(partitions[i]); },
        [&](uint64_t done) {
          if (&partitions == &mailboxes_) progress_.mailboxes = done;
          progress_.octets = progress_.comparing ? comparison_.passed_octets() : copier_.passed_octets();
          options_.report(progress_);
        });
  }

  absl::Status CopyAll() {
    // First of all, for ages are counted by it.
    RETURN_IF_ERROR(TakeOverTime(from_, to_));
    uint64_t octets = 0;
    ASSIGN_OR_RETURN(domains_, PartitionsOf(from_, PartitionId::Kind::kDomain));
    ASSIGN_OR_RETURN(mailboxes_, PartitionsOf(from_, PartitionId::Kind::kMailbox, &octets));
    progress_ = {.total_mailboxes = mailboxes_.size(), .total_octets = octets};
    const auto copy = [this](PartitionId partition) { return copier_.Copy(partition); };
    RETURN_IF_ERROR(ForAll(domains_, copy));
    RETURN_IF_ERROR(ForAll(mailboxes_, copy));
    // What an earlier run has copied, and is no more.
    for (const std::vector<PartitionId>* wanted : {&mailboxes_, &domains_}) {
      const auto kind = wanted == &mailboxes_ ? PartitionId::Kind::kMailbox : PartitionId::Kind::kDomain;
      ASSIGN_OR_RETURN(const std::vector<PartitionId> there, PartitionsOf(to_, kind));
      for (const PartitionId partition : there) {
        if (std::binary_search(wanted->begin(), wanted->end(), partition)) continue;
        RETURN_IF_ERROR(copier_.Copy(partition));
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
      RETURN_IF_ERROR(ForAll(domains_, compare));
      RETURN_IF_ERROR(ForAll(mailboxes_, compare));
      ASSIGN_OR_RETURN(const auto mailboxes, PartitionsOf(to_, PartitionId::Kind::kMailbox));
      ASSIGN_OR_RETURN(const auto domains, PartitionsOf(to_, PartitionId::Kind::kDomain));
      if (mailboxes != mailboxes_ || domains != domains_) {
        return absl::DataLossError(absl::StrCat("it holds ", mailboxes.size(), " mailboxes and ",
                                                domains.size(), " domains, it has to hold ",
                                                mailboxes_.size(), " and ", domains_.size()));
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
  std::vector<PartitionId> domains_, mailboxes_;
  Moved moved_;
  MoveProgress progress_;
};

}  // namespace

absl::StatusOr<Moved> MoveStore(Engine* from, Engine* to, const MoveOptions& options) {
  return Mover(from, to, options).Run();
}

}  // namespace restante::moving
