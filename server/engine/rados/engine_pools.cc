// Thresholds of domains' pools, which are in no one place, and of all after a change of rules.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"
#include "server/engine/thresholds.h"

namespace restante::rados {
namespace {

constexpr size_t kWidth = 32;
// In kStoreObject: the rules by which all crossings are recorded.
constexpr char kRules[] = "rules";

uint64_t PoolLimit(const stored::DomainHead& head) {
  return head.max_bytes().kind() == stored::Limit::VALUE
             ? std::min(head.max_bytes().value(), quota::kUnlimited)
             : quota::kUnlimited;
}

}  // namespace

Task<absl::Status> RadosEngine::NotePool(uint64_t domain, int64_t octets) {
  if (domain == 0 || octets == 0 || options_.rules.thresholds.empty()) co_return absl::OkStatus();
  int64_t since_us;
  const std::optional<PartitionState> state = PartitionOf(PartitionId::Domain(domain))->Cached(&since_us);
  if (!state || !state->exists) co_return absl::OkStatus();
  const stored::DomainHead& head = state->head.domain();
  const uint64_t limit = PoolLimit(head);
  {
    // Counted in any case: what is not looked at now counts the next time.
    absl::MutexLock lock(&mutex_);
    Gauge& gauge = gauges_[domain];
    gauge.change += octets;
    if (gauge.change < gauge.up && gauge.change > -gauge.down) co_return absl::OkStatus();
  }
  if (head.reached_percent() == 0) {
    if (limit >= quota::kUnlimited) co_return absl::OkStatus();
    // Nobody uses more than is granted.
    const absl::uint128 first = absl::uint128(limit) * options_.rules.thresholds.front();
    if (absl::uint128(state->tail.granted_bytes()) * 100 < first) co_return absl::OkStatus();
  }
  co_return co_await CheckPool(domain);
}

Task<absl::Status> RadosEngine::CheckPool(uint64_t domain) {
  if (options_.rules.thresholds.empty()) co_return absl::OkStatus();
  int64_t change_before;
  {
    absl::MutexLock lock(&mutex_);
    change_before = gauges_[domain].change;
  }
  CO_ASSIGN_OR_RETURN(const DomainSums sums, co_await SumsOf(domain));
  auto crossed = std::make_shared<bool>(false);
  auto gauge = std::make_shared<Gauge>();
  Step step;
  step.frees = true;
  step.run = [this, domain, sums, crossed, gauge](Draft& draft) {
    *crossed = false;
    if (!draft.state().exists) return draft.IsFresh();
    const stored::DomainHead& head = draft.state().head.domain();
    if (head.deleted()) return true;
    const engine::QuotaRules& rules = options_.rules;
    const uint64_t limit = PoolLimit(head);
    const auto percent_at = [&](uint64_t used) {
      return quota::Threshold(rules.thresholds, rules.threshold_slack, head.reached_percent(),
                              {{.used = used, .limit = limit}});
    };
    engine::Crossing crossing;
    crossing.partition = PartitionId::Domain(domain);
    crossing.max_bytes = limit;
    crossing.used_bytes = sums.used_bytes;
    crossing.previous_percent = head.reached_percent();
    crossing.percent = percent_at(sums.used_bytes);
    // How far the next ones are, for those that come after.
    const uint32_t reached = crossing.percent;
    const auto octets_at = [&](uint32_t percent) {
      return static_cast<int64_t>((absl::uint128(limit) * percent + 99) / 100);
    };
    const int64_t used = static_cast<int64_t>(std::min(sums.used_bytes, quota::kUnlimited));
    gauge->up = gauge->down = INT64_MAX;
    if (limit < quota::kUnlimited) {
      for (const uint32_t threshold : rules.thresholds) {
        if (threshold > reached) {
          gauge->up = std::max<int64_t>(1, octets_at(threshold) - used);
          break;
        }
      }
      if (reached > 0) {
        const uint32_t left = reached > rules.threshold_slack ? reached - rules.threshold_slack : reached;
        gauge->down = std::max<int64_t>(1, used - octets_at(left) + 1);
      }
    }
    if (crossing.percent == crossing.previous_percent) return draft.IsFresh();
    PutEvent(crossing.Apply(&draft.state().head), draft);
    *crossed = true;
    return true;
  };
  CO_RETURN_IF_ERROR(co_await PartitionOf(PartitionId::Domain(domain))->Post(std::move(step)));
  {
    absl::MutexLock lock(&mutex_);
    // What changed while it was summed may not be in the sum.
    gauge->change = gauges_[domain].change - change_before;
    gauges_[domain] = *gauge;
  }
  if (*crossed) co_return co_await LogEvents(PartitionId::Domain(domain));
  co_return absl::OkStatus();
}

Task<absl::Status> RadosEngine::Recheck(uint64_t mailbox) {
  struct Found {
    bool crossed = false;
    uint64_t must_know = 0;
  };
  auto found = std::make_shared<Found>();
  do {
    if (found->must_know != 0) CO_RETURN_IF_ERROR((co_await DomainOf(found->must_know)).status());
    Step step;
    step.frees = true;
    step.run = [this, found](Draft& draft) {
      *found = {};
      if (!draft.state().exists) return draft.IsFresh();
      std::optional<stored::DomainHead> domain;
      if (!KnowsDomain(draft.state().head.mailbox().domain(), &domain)) {
        found->must_know = draft.state().head.mailbox().domain();
        return true;
      }
      found->crossed = RecordCrossing(domain, draft);
      return true;
    };
    CO_RETURN_IF_ERROR(co_await MailboxOf(mailbox)->Post(std::move(step)));
  } while (found->must_know != 0);
  if (found->crossed) co_return co_await LogEvents(PartitionId::Mailbox(mailbox));
  co_return absl::OkStatus();
}

Task<absl::Status> RadosEngine::RecheckMembers(uint64_t domain) {
  CO_ASSIGN_OR_RETURN(const std::vector<Member> members, co_await MembersOf(domain));
  std::function<Task<absl::Status>(size_t)> recheck = [this, &members](size_t i) {
    return Recheck(members[i].mailbox);
  };
  const std::vector<absl::Status> all =
      co_await Gather<absl::Status>(members.size(), kWidth, std::move(recheck));
  for (const absl::Status& status : all) CO_RETURN_IF_ERROR(status);
  co_return absl::OkStatus();
}

Task<absl::Status> RadosEngine::RecordMissed() {
  const engine::QuotaRules& rules = options_.rules;
  const std::string mine =
      absl::StrCat(quota::Flat(rules.default_bytes), "/", quota::Flat(rules.default_messages), "/",
                   absl::StrJoin(rules.thresholds, ","), "/", rules.threshold_slack);
  ReadOp op = index_->NewRead();
  op.Xattrs();
  const ObjectRead read = co_await index_->Read(kStoreObject, std::move(op));
  absl::Status status = ToStatus(read.result, kStoreObject);
  const auto before = read.xattrs.find(kRules);
  const bool changed = before == read.xattrs.end() || before->second != mine;
  if (status.ok() && changed && !rules.thresholds.empty()) {
    absl::StatusOr<std::vector<uint64_t>> mailboxes =
        co_await ListedNumbers(PartitionId::Kind::kMailbox, 0, SIZE_MAX);
    absl::StatusOr<std::vector<uint64_t>> domains =
        co_await ListedNumbers(PartitionId::Kind::kDomain, 0, SIZE_MAX);
    status.Update(mailboxes.status());
    status.Update(domains.status());
    for (size_t i = 0; status.ok() && !closing_ && i < mailboxes->size(); ++i) {
      status.Update(co_await Recheck((*mailboxes)[i]));
    }
    for (size_t i = 0; status.ok() && !closing_ && i < domains->size(); ++i) {
      status.Update(co_await CheckPool((*domains)[i]));
    }
    if (status.ok() && !closing_) {
      WriteOp write = index_->NewWrite();
      write.SetXattr(kRules, mine);
      status = ToStatus(co_await index_->Write(kStoreObject, std::move(write)), kStoreObject);
    }
  }
  missed_recorded_ = true;
  co_return status;
}

}  // namespace restante::rados
