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
  entry->set_transaction_id(
      std::string(reinterpret_cast<const char*>(transaction.octets.data()), transaction.octets.size()));

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

void CompleteReceipt(const absl::flat_hash_map<uint64_t, uint64_t>& uids, uint64_t store_time_s,
                     stored::Receipt* receipt) {
  receipt->set_store_time_s(store_time_s);
  for (stored::ReceiptRecipient& recipient : *receipt->mutable_recipients()) {
    if (recipient.outcome() != kOutcomeOk) continue;
    if (const auto it = uids.find(recipient.mailbox()); it != uids.end()) recipient.set_uid(it->second);
  }
}

stored::Receipt MakeTombstone(uint64_t store_time_s) {
  stored::Receipt tombstone;
  tombstone.set_committed(false);
  tombstone.set_store_time_s(store_time_s);
  return tombstone;
}

}  // namespace restante::engine
