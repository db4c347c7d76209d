#include "tests/embedded/delivery.h"

#include <memory>
#include <variant>

#include "server/base/status_macros.h"
#include "server/engine/commit_entry.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {

absl::StatusOr<stored::Receipt> Deliver(engine::Engine& engine, Delivery delivery) {
  const engine::TransactionId id = delivery.transaction;
  const std::string& text = delivery.text;
  ASSIGN_OR_RETURN(const engine::OpenResult opened, Await<absl::StatusOr<engine::OpenResult>>([&](auto done) {
                     engine.Open(id, text.size(), std::move(done));
                   }));
  if (const auto* receipt = std::get_if<stored::Receipt>(&opened)) return *receipt;
  if (!std::holds_alternative<engine::Opened>(opened)) return absl::ResourceExhaustedError("refused at Open");
  for (const auto& [mailbox, entry] : delivery.entries) {
    const engine::Demand demand{.bytes = text.size(), .at_least = text.size(), .exempt = entry.exempt()};
    ASSIGN_OR_RETURN(const engine::ReserveResult reserved,
                     Await<absl::StatusOr<engine::ReserveResult>>(
                         [&](auto done) { engine.Reserve(id, mailbox, demand, std::move(done)); }));
    if (!std::holds_alternative<engine::Granted>(reserved)) {
      engine.Close(id);
      return absl::ResourceExhaustedError("refused at Reserve");
    }
  }
  ASSIGN_OR_RETURN(
      const engine::Confirmed confirmed,
      Await<absl::StatusOr<engine::Confirmed>>([&](auto done) { engine.Confirm(id, std::move(done)); }));
  if (confirmed.disk || !confirmed.lost.empty()) {
    engine.Close(id);
    return absl::ResourceExhaustedError("refused at Confirm");
  }
  auto writer = engine.NewBody(delivery.expected.value_or(text.size()));
  for (size_t at = 0; at < text.size(); at += 100'000) {
    RETURN_IF_ERROR(
        Await<absl::Status>([&](auto done) { writer->Append(text.substr(at, 100'000), std::move(done)); }));
  }
  engine::CommitRequest request;
  request.transaction = id;
  request.retry_key = std::move(delivery.retry_key);
  auto staged = Await<absl::StatusOr<std::unique_ptr<engine::StagedBody>>>(
      [&](auto done) { writer->Finish(std::move(done)); });
  RETURN_IF_ERROR(staged.status());
  request.body = *std::move(staged);
  request.receipt = std::move(delivery.receipt);
  request.receipt.set_committed(true);
  for (const auto& [mailbox, entry] : delivery.entries) {
    stored::ReceiptRecipient& recipient = *request.receipt.add_recipients();
    recipient.set_address(entry.envelope().recipient());
    recipient.set_mailbox(mailbox);
    recipient.set_outcome(engine::kOutcomeOk);
  }
  request.entries = std::move(delivery.entries);
  return Await<absl::StatusOr<stored::Receipt>>([&](auto done) {
    engine.Commit(std::move(request), [answered = std::move(delivery.answered), done = std::move(done)](
                                          absl::StatusOr<stored::Receipt> receipt) mutable {
      if (answered) answered();
      done(std::move(receipt));
    });
  });
}

absl::Status Expunge(engine::Engine& engine, uint64_t mailbox, uint64_t uid) {
  const std::string key = engine::EntryKey(uid);
  return Await<absl::Status>([&](auto done) {
    engine.Update(
        engine::PartitionId::Mailbox(mailbox), {key},
        [key](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
          const auto it = view.values.find(key);
          if (it == view.values.end()) return absl::NotFoundError("no such message");
          stored::Entry entry;
          entry.ParseFromString(it->second);
          engine::Change change;
          change.head = *view.head;
          stored::MailboxHead& head = *change.head.mutable_mailbox();
          head.set_used_bytes(head.used_bytes() - entry.size());
          head.set_used_messages(head.used_messages() - 1);
          if (entry.exempt()) {
            head.set_exempt_bytes(head.exempt_bytes() - entry.size());
            head.set_exempt_messages(head.exempt_messages() - 1);
          }
          head.set_highest_modseq(head.highest_modseq() + 1);
          change.erased = {key};
          change.released_bodies = {engine::BodyId{entry.body()}};
          return change;
        },
        std::move(done));
  });
}

}  // namespace restante::embedded
