// Fills a store with small messages, many at a time, faster than a network would.
//
//     fill_store DIRECTORY MESSAGES [MAILBOXES]
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/embedded_engine.h"
#include "server/mail/names.h"
#include "server/mail/transaction_id.h"
#include "tests/model/letter.h"
#include "tests/model/world.h"

namespace restante {
namespace {

constexpr int kAtOnce = 64;

struct Mailbox {
  uint64_t number = 0;
  std::string name;
};

// Calls `one` with each number below `count`, kAtOnce of them at a time, until one fails.
absl::Status ForEach(uint64_t count, const std::function<absl::Status(uint64_t)>& one) {
  std::atomic<uint64_t> next{0};
  absl::Mutex mutex;
  absl::Status failed;
  std::vector<std::thread> threads;
  for (int t = 0; t < kAtOnce; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i = next++; i < count; i = next++) {
        const absl::Status done = one(i);
        if (done.ok()) continue;
        next = count;
        absl::MutexLock lock(&mutex);
        failed.Update(done);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failed;
}

absl::StatusOr<std::vector<Mailbox>> MakeMailboxes(model::World& world, uint64_t count) {
  RETURN_IF_ERROR(model::Get(world.provisioning().CreateDomain("example.org", {}, "")).status());
  std::vector<Mailbox> mailboxes(count);
  RETURN_IF_ERROR(ForEach(count, [&](uint64_t i) -> absl::Status {
    const mail::Address address{absl::StrCat("m", i), "example.org"};
    ASSIGN_OR_RETURN(const mail::MailboxView view,
                     model::Get(world.provisioning().CreateMailbox(address, {}, "")));
    mailboxes[i] = {.number = view.number, .name = mail::MailboxName(address)};
    return absl::OkStatus();
  }));
  return mailboxes;
}

absl::Status Deliver(engine::Engine& engine, const Mailbox& mailbox, uint64_t number) {
  using embedded::Await;
  const std::string text = model::MakeText(number, 200 + number % 400);
  const engine::TransactionId id = mail::MakeTransactionId("fill", absl::StrCat(number));
  RETURN_IF_ERROR(Await<absl::StatusOr<engine::OpenResult>>([&](auto done) {
                    engine.Open(id, text.size(), std::move(done));
                  }).status());
  RETURN_IF_ERROR(Await<absl::StatusOr<engine::ReserveResult>>([&](auto done) {
                    engine.Reserve(id, mailbox.number, {.bytes = text.size(), .at_least = text.size()},
                                   std::move(done));
                  }).status());
  RETURN_IF_ERROR(Await<absl::StatusOr<engine::Confirmed>>([&](auto done) {
                    engine.Confirm(id, std::move(done));
                  }).status());
  const std::unique_ptr<engine::BodyWriter> writer = engine.NewBody(text.size());
  RETURN_IF_ERROR(Await<absl::Status>([&](auto done) { writer->Append(text, std::move(done)); }));
  using Body = std::unique_ptr<engine::StagedBody>;
  ASSIGN_OR_RETURN(Body body,
                   Await<absl::StatusOr<Body>>([&](auto done) { writer->Finish(std::move(done)); }));
  engine::CommitRequest request;
  request.transaction = id;
  request.body = std::move(body);
  mail::stored::Entry entry;
  entry.set_arrival_us(Clock::System()->WallMicros());
  entry.mutable_envelope()->set_sender("sender@example.net");
  request.entries.emplace_back(mailbox.number, std::move(entry));
  request.receipt.set_size(text.size());
  mail::stored::ReceiptRecipient& recipient = *request.receipt.add_recipients();
  recipient.set_outcome(v1::OUTCOME_OK);
  recipient.set_mailbox(mailbox.number);
  recipient.set_mailbox_name(mailbox.name);
  return Await<absl::StatusOr<mail::stored::Receipt>>(
             [&](auto done) { engine.Commit(std::move(request), std::move(done)); })
      .status();
}

absl::Status Fill(const std::string& directory, uint64_t messages, uint64_t mailboxes) {
  model::World world(
      model::kEmbedded,
      [&]() -> absl::StatusOr<std::shared_ptr<engine::Engine>> {
        embedded::Options options;
        options.data_dir = directory;
        options.create = true;
        return embedded::Open(std::move(options));
      },
      {}, Clock::System());
  RETURN_IF_ERROR(world.Open());
  ASSIGN_OR_RETURN(const std::vector<Mailbox> all, MakeMailboxes(world, mailboxes));
  const absl::Status failed =
      ForEach(messages, [&](uint64_t i) { return Deliver(world.engine(), all[i % all.size()], i); });
  world.Close();
  return failed;
}

}  // namespace
}  // namespace restante

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: fill_store DIRECTORY MESSAGES [MAILBOXES]\n");
    return 2;
  }
  const uint64_t mailboxes = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1'000;
  const absl::Status filled = restante::Fill(argv[1], std::strtoull(argv[2], nullptr, 10), mailboxes);
  if (filled.ok()) return 0;
  std::fprintf(stderr, "%s\n", filled.ToString().c_str());
  return 1;
}
