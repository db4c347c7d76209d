#include "server/engine/commit_entry.h"

#include <algorithm>
#include <string>

namespace restante::engine {

uint64_t EnterMessage(const TransactionId& transaction, const CommittedBody& body, stored::MailboxHead* head,
                      stored::Entry* entry) {
  // UIDs begin at 1 (RFC 9051 section 2.3.1.1), also where a head was never told.
  const uint64_t uid = std::max<uint64_t>(head->uid_next(), 1);
  const uint64_t modseq = head->highest_modseq() + 1;
  entry->set_uid(uid);
  entry->set_modseq(modseq);
  entry->set_body(static_cast<uint64_t>(body.id));
  entry->set_size(body.size);
  entry->set_crc32c(body.crc32c);
  entry->set_transaction_id(transaction.ToBytes());

  head->set_uid_next(uid + 1);
  head->set_highest_modseq(modseq);
  head->set_used_bytes(head->used_bytes() + body.size);
  head->set_used_messages(head->used_messages() + 1);
  if (entry->exempt()) {
    head->set_exempt_bytes(head->exempt_bytes() + body.size);
    head->set_exempt_messages(head->exempt_messages() + 1);
  }
  return uid;
}

std::optional<Placed> PlacedBefore(const std::string* open_receipt, uint64_t store_time_s,
                                   uint64_t window_s) {
  stored::OpenReceipt found;
  if (open_receipt == nullptr || !found.ParseFromString(*open_receipt) ||
      !TransactionId::FromBytes(found.transaction_id())) {
    return std::nullopt;
  }
  const uint64_t age_s = store_time_s - std::min(store_time_s, found.store_time_s());
  if (age_s >= window_s) return std::nullopt;
  return Placed{.uid = found.uid(),
                .stored_by = found.stored_by().empty() ? found.transaction_id() : found.stored_by()};
}

stored::OpenReceipt MakeOpenReceipt(const TransactionId& transaction, const Placed& placed,
                                    uint64_t store_time_s) {
  stored::OpenReceipt receipt;
  receipt.set_transaction_id(transaction.ToBytes());
  receipt.set_stored_by(placed.stored_by);
  receipt.set_uid(placed.uid);
  receipt.set_store_time_s(store_time_s);
  return receipt;
}

void CompleteReceipt(const absl::flat_hash_map<uint64_t, Placed>& placed, uint64_t store_time_s,
                     stored::Receipt* receipt) {
  receipt->set_store_time_s(store_time_s);
  for (stored::ReceiptRecipient& recipient : *receipt->mutable_recipients()) {
    if (recipient.outcome() != kOutcomeOk) continue;
    const auto it = placed.find(recipient.mailbox());
    if (it == placed.end()) continue;
    recipient.set_uid(it->second.uid);
    recipient.set_stored_by(it->second.stored_by);
  }
}

std::vector<uint64_t> MailboxesOf(const stored::Receipt& receipt) {
  std::vector<uint64_t> mailboxes;
  for (const stored::ReceiptRecipient& recipient : receipt.recipients()) {
    if (recipient.outcome() == kOutcomeOk) mailboxes.push_back(recipient.mailbox());
  }
  std::sort(mailboxes.begin(), mailboxes.end());
  mailboxes.erase(std::unique(mailboxes.begin(), mailboxes.end()), mailboxes.end());
  return mailboxes;
}

TransactionId TransactionOf(absl::string_view open_receipt) {
  stored::OpenReceipt found;
  if (!found.ParseFromArray(open_receipt.data(), static_cast<int>(open_receipt.size()))) return {};
  return TransactionId::FromBytes(found.transaction_id()).value_or(TransactionId());
}

stored::Receipt MakeTombstone(uint64_t store_time_s) {
  stored::Receipt tombstone;
  tombstone.set_committed(false);
  tombstone.set_store_time_s(store_time_s);
  return tombstone;
}

}  // namespace restante::engine
