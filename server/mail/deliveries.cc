#include "server/mail/deliveries.h"

#include <utility>
#include <variant>

#include "absl/time/time.h"
#include "server/mail/names.h"
#include "server/mail/recipient_decision.h"
#include "server/mail/transaction.h"
#include "server/mail/transaction_id.h"

namespace restante::mail {

Deliveries::Deliveries(engine::Engine* engine, Directory* directory, DeliveryOptions options,
                       const Clock* clock)
    : engine_(engine),
      directory_(directory),
      options_(std::move(options)),
      clock_(clock),
      client_bounds_(options_.reserve_per_client),
      outgrown_(clock) {
  overdue_thread_ = std::thread([this] {
    absl::MutexLock lock(&mutex_);
    while (!changed_.AwaitFor(&mutex_, absl::Seconds(1), [this] { return stopping_; })) {
      mutex_.Unlock();
      EndOverdue();
      mutex_.Lock();
    }
  });
}

Deliveries::~Deliveries() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  changed_.Changed();
  overdue_thread_.join();
}

void Deliveries::Register(const std::shared_ptr<Transaction>& transaction) {
  absl::MutexLock lock(&mutex_);
  open_.emplace(transaction.get(), transaction);
}

void Deliveries::Unregister(const Transaction* transaction) {
  absl::MutexLock lock(&mutex_);
  open_.erase(transaction);
  if (open_.empty()) changed_.Changed();
}

bool Deliveries::AwaitIdle(int64_t micros) {
  absl::MutexLock lock(&mutex_);
  return changed_.AwaitFor(&mutex_, absl::Microseconds(micros), [this] { return open_.empty(); });
}

void Deliveries::EndOverdue() {
  std::vector<std::shared_ptr<Transaction>> open;
  {
    absl::MutexLock lock(&mutex_);
    open.reserve(open_.size());
    for (const auto& [key, weak] : open_) {
      if (auto transaction = weak.lock()) open.push_back(std::move(transaction));
    }
  }
  // Outside the lock: the last reference may be dropped here.
  const int64_t now = clock_->MonotonicMicros();
  for (const auto& transaction : open) transaction->EndIfOverdue(now);
}

void Deliveries::Check(std::string address, std::string sender, std::optional<uint64_t> size,
                       engine::Done<v1::Decision> done) {
  Start(CheckTask(std::move(address), std::move(sender), size == 0 ? std::nullopt : size), std::move(done));
}

Task<v1::Decision> Deliveries::CheckTask(std::string address, std::string sender,
                                         std::optional<uint64_t> size) {
  bool recent = false;
  v1::Decision decision = co_await CheckAs(Age::kRecent, address, sender, size, &recent);
  if (decision.outcome() != v1::OUTCOME_OK && recent) {
    decision = co_await CheckAs(Age::kNow, address, sender, size, &recent);
  }
  co_return decision;
}

Task<v1::Decision> Deliveries::CheckAs(Age age, std::string address, std::string sender,
                                       std::optional<uint64_t> size, bool* recent) {
  const absl::StatusOr<Resolution> result = co_await Await<absl::StatusOr<Resolution>>(
      [&](auto done) { directory_->Resolve(address, age, std::move(done)); });
  v1::Decision decision;
  decision.set_address(address);
  if (!result.ok()) {
    decision.set_outcome(v1::OUTCOME_UNAVAILABLE);
    co_return decision;
  }
  *recent = result->recent;
  // What is not ours may be as large as it likes.
  const bool hosted = result->kind == Resolution::Kind::kMailbox;
  if (hosted) decision.set_mailbox(MailboxName(result->head.address()));
  if (hosted && size && *size > options_.max_message) {
    decision.set_outcome(v1::OUTCOME_MESSAGE_TOO_LARGE);
    decision.mutable_shortage()->set_scope(v1::Shortage::MESSAGE);
    decision.mutable_shortage()->set_limit(options_.max_message);
    decision.mutable_shortage()->set_needed(*size);
    co_return decision;
  }
  if (auto decided = DecideWithoutRoom(address, *result, size, options_.rules)) co_return *std::move(decided);
  const engine::Capacity disk = engine_->GetCapacity();
  if (disk.full || size.value_or(1) > disk.available) {
    decision.set_outcome(v1::OUTCOME_DISK_FULL);
    *decision.mutable_shortage() = ToShortage({.scope = engine::Shortage::Scope::kDisk,
                                               .limit = disk.limit,
                                               .used = disk.used,
                                               .reserved = disk.reserved,
                                               .needed = size.value_or(1)});
    co_return decision;
  }
  const engine::Demand demand = DemandFor(*result, size, outgrown_.Recall(result->mailbox, sender, size), 1);
  const absl::StatusOr<engine::ReserveResult> reserved =
      co_await Await<absl::StatusOr<engine::ReserveResult>>(
          [&](auto done) { engine_->Check(result->mailbox, demand, std::move(done)); });
  // What the mailbox itself says is so now (as for a recipient, Transaction::OnResolved).
  *recent = result->recent && absl::IsNotFound(reserved.status());
  co_return DecideByRoom(address, *result, reserved);
}

void Deliveries::Settle(const std::string& caller, const std::string& request_id,
                        std::vector<uint64_t> mailboxes,
                        engine::Done<absl::StatusOr<v1::GetReceiptResponse>> done) {
  const engine::TransactionId id = MakeTransactionId(caller, request_id);
  engine_->Settle(id, std::move(mailboxes),
                  [id, done = std::move(done)](absl::StatusOr<stored::Receipt> result) mutable {
                    if (!result.ok()) return done(absl::UnavailableError(result.status().message()));
                    v1::GetReceiptResponse response;
                    response.set_committed(result->committed());
                    if (result->committed()) *response.mutable_receipts() = ToReceipts(id, *result);
                    done(std::move(response));
                  });
}

void Deliveries::HandedOver(const std::string& transaction_id) {
  // The embedded engine finds the mailboxes in the receipt.
  if (const auto id = engine::TransactionId::Parse(transaction_id)) engine_->HandedOver(*id, {});
}

v1::Capacity Deliveries::GetCapacity() const {
  const engine::Capacity disk = engine_->GetCapacity();
  v1::Capacity out;
  out.set_limit_bytes(disk.limit);
  out.set_used_bytes(disk.used);
  out.set_reserved_bytes(disk.reserved);
  out.set_available_bytes(disk.available);
  out.set_full(disk.full);
  out.set_read_only(disk.read_only);
  out.set_max_message_bytes(options_.max_message);
  out.set_max_recipients(options_.max_recipients);
  out.set_draining(draining_);
  const int64_t now = clock_->WallMicros();
  out.mutable_time()->set_seconds(now / 1'000'000);
  out.mutable_time()->set_nanos(static_cast<int32_t>(now % 1'000'000 * 1000));
  return out;
}

v1::Receipts ToReceipts(const engine::TransactionId& id, const stored::Receipt& receipt) {
  v1::Receipts receipts;
  receipts.set_transaction_id(id.ToString());
  receipts.set_committed(receipt.committed());
  for (const stored::ReceiptRecipient& r : receipt.recipients()) {
    if (r.decided() != v1::OUTCOME_OK) continue;
    v1::Receipt& out = *receipts.add_receipts();
    out.set_address(r.address());
    out.set_outcome(static_cast<v1::Outcome>(r.outcome()));
    out.set_mailbox(r.mailbox_name());
    out.set_uid(r.uid());
    if (const auto first = engine::TransactionId::FromBytes(r.stored_by())) {
      out.set_first_transaction_id(first->ToString());
    }
  }
  return receipts;
}

}  // namespace restante::mail
