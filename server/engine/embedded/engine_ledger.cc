// What the ledger is told, and when.
//
// A group can fail after it was decided, and every later one with it; what is
// true then is a durable state. So the ledger gets, of each mailbox, the largest
// usage of all states that may come true: a delivery counts when it is decided,
// room that an expunge makes counts when it is durable. Settings count when they
// are durable.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"

namespace restante::embedded {

void EmbeddedEngine::TellLedger(PartitionId partition) {
  if (partition.kind == PartitionId::Kind::kDirectory) return;
  const std::string key = HeadKey(partition);
  const KeyTable::Found durable = keys_.AsOf(key, durable_);
  stored::Head head;
  if (durable.value == nullptr || !head.ParseFromString(*durable.value)) {
    if (partition.kind == PartitionId::Kind::kMailbox) {
      ledger_.EraseMailbox(partition.number);
    } else {
      ledger_.EraseDomain(partition.number);
    }
    return;
  }
  if (partition.kind == PartitionId::Kind::kDomain) {
    ledger_.PutDomain(partition.number, head.domain());
    return;
  }
  stored::MailboxHead& mailbox = *head.mutable_mailbox();
  keys_.VisitAbove(key, durable_, [&](const std::string* value) {
    stored::Head later;
    if (value == nullptr || !later.ParseFromString(*value)) return;
    mailbox.set_used_bytes(std::max(mailbox.used_bytes(), later.mailbox().used_bytes()));
    mailbox.set_used_messages(std::max(mailbox.used_messages(), later.mailbox().used_messages()));
  });
  ledger_.PutMailbox(partition.number, mailbox);
}

void EmbeddedEngine::TellAll() {
  // Each head is read once, not once for each of them: there may be a hundred thousand.
  keys_.Visit("h", AfterPrefix("h"), durable_,
              [&](const std::string& key, const std::string* value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                const PartitionId partition = PartitionOfHeadKey(key);
                stored::Head head;
                if (value == nullptr || !head.ParseFromString(*value)) return true;
                if (partition.kind == PartitionId::Kind::kDomain) {
                  ledger_.PutDomain(partition.number, head.domain());
                  thresholds_.PutDomain(partition.number, head.domain());
                } else if (partition.kind == PartitionId::Kind::kMailbox) {
                  ledger_.PutMailbox(partition.number, head.mailbox());
                  thresholds_.PutMailbox(partition.number, head.mailbox());
                  AddToSums(head.mailbox(), 1);
                }
                return true;
              });
}

void EmbeddedEngine::AddToSums(const stored::MailboxHead& mailbox, int sign) {
  const auto times = static_cast<uint64_t>(sign);
  Sums& sums = sums_[mailbox.domain()];
  sums.used_bytes += times * mailbox.used_bytes();
  sums.used_messages += times * mailbox.used_messages();
  sums.mailboxes += times;
  if (sums.mailboxes == 0) sums_.erase(mailbox.domain());
}

void EmbeddedEngine::SumHead(PartitionId partition, uint64_t before, uint64_t after) {
  if (partition.kind != PartitionId::Kind::kMailbox) return;
  const std::string key = HeadKey(partition);
  const auto add = [&](uint64_t group, int sign) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const KeyTable::Found found = keys_.AsOf(key, group);
    stored::Head head;
    if (found.value != nullptr && head.ParseFromString(*found.value)) AddToSums(head.mailbox(), sign);
  };
  // In this order, or a domain's only mailbox would take the sums with it.
  add(after, 1);
  add(before, -1);
}

bool EmbeddedEngine::TellDisk() {
  // What is written for transactions that still hold their reservation is not
  // counted twice.
  const uint64_t pending = bodies_->pending_file_bytes + inflight_;
  const uint64_t bytes = counted_->bytes();
  const bool changed = ledger_.SetDisk(disk_.limit(), bytes > pending ? bytes - pending : 0, disk_.blocked());
  RecordDisk();
  return changed;
}

void EmbeddedEngine::DiskMeasured() {
  bool changed = false;
  {
    absl::MutexLock lock(&mutex_);
    changed = TellDisk();
  }
  if (changed) SayDisk();
}

void EmbeddedEngine::SayDisk() {
  disk_.Measure().IgnoreError();
  const engine::Capacity capacity = GetCapacity();
  LogLine(LogLevel::kWarning,
          absl::StrCat(
              capacity.full ? "the disk is full, mail is refused (452 4.3.1): " : "the disk has room again: ",
              capacity.used, " bytes used of ", capacity.limit, "; ", disk_.Describe()));
}

}  // namespace restante::embedded
