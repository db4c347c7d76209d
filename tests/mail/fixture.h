// A store in memory with a vocabulary for mail tests, and an engine in front of it
// that can be told to die at any of its changes.
#ifndef RESTANTE_TESTS_MAIL_FIXTURE_H_
#define RESTANTE_TESTS_MAIL_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/fake_clock.h"
#include "server/base/task.h"
#include "server/engine/memory/memory_engine.h"
#include "server/mail/append.h"
#include "server/mail/directory.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"
#include "server/mail/verify.h"

namespace restante::mail {

// The result of a task that ends at once, as all do over the memory engine.
template <typename T>
T Get(Task<T> task) {
  std::optional<T> result;
  Start<T>(std::move(task), [&](T value) { result.emplace(std::move(value)); });
  if (!result) {
    ADD_FAILURE() << "the task did not end";
    std::abort();
  }
  return *std::move(result);
}

// What Verify finds; with `repaired` it sets right what it can, and says how much.
inline std::vector<std::string> ProblemsOf(engine::Engine* engine, uint64_t* repaired = nullptr) {
  std::vector<std::string> problems;
  const auto report = [&](VerifyProgress progress) {
    for (std::string& problem : progress.problems) problems.push_back(std::move(problem));
    if (repaired != nullptr) *repaired = progress.repaired_problems;
    return true;
  };
  const absl::Status status = Get(Verify(engine, report, repaired != nullptr));
  EXPECT_TRUE(status.ok()) << status;
  return problems;
}

// Passes everything on; from the change that KillAt names on, all changes and
// reads fail, as if the process had been killed.
class MortalEngine : public engine::Engine {
 public:
  explicit MortalEngine(engine::Engine* below) : below_(below) {}

  // The change with this number, from 0 counted from now, is the first to fail.
  void KillAt(int change) {
    changes_ = 0;
    kill_at_ = change;
  }
  void Revive() { kill_at_ = -1; }
  bool dead() const { return kill_at_ >= 0 && changes_ > kill_at_; }

  uint64_t NewNumber() override { return below_->NewNumber(); }
  void Update(engine::PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
              engine::Done<absl::Status> done) override {
    // It may replace itself.
    if (auto hook = before_update) hook(partition);
    ++changes_;
    if (dead()) return done(absl::UnavailableError("killed"));
    below_->Update(partition, std::move(keys), std::move(fn), std::move(done));
  }
  void Read(engine::PartitionId partition, std::vector<std::string> keys,
            engine::Done<absl::StatusOr<engine::ReadResult>> done) override {
    if (dead()) return done(absl::UnavailableError("killed"));
    below_->Read(partition, std::move(keys), std::move(done));
  }
  void Scan(engine::PartitionId partition, std::string from, std::string to, size_t limit,
            engine::Done<absl::StatusOr<engine::ScanPage>> done) override {
    if (dead()) return done(absl::UnavailableError("killed"));
    below_->Scan(partition, std::move(from), std::move(to), limit, std::move(done));
    if (auto hook = after_scan) hook();
  }
  void ListPartitions(
      engine::PartitionId::Kind kind, uint64_t after, size_t limit,
      engine::Done<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>> done) override {
    below_->ListPartitions(kind, after, limit, std::move(done));
  }
  void Open(engine::TransactionId t, uint64_t bytes,
            engine::Done<absl::StatusOr<engine::OpenResult>> done) override {
    below_->Open(t, bytes, std::move(done));
  }
  void Reserve(engine::TransactionId t, uint64_t mailbox, engine::Demand demand,
               engine::Done<absl::StatusOr<engine::ReserveResult>> done) override {
    below_->Reserve(t, mailbox, demand, std::move(done));
  }
  void Check(uint64_t mailbox, engine::Demand demand,
             engine::Done<absl::StatusOr<engine::ReserveResult>> done) override {
    below_->Check(mailbox, demand, std::move(done));
  }
  void Confirm(engine::TransactionId t, engine::Done<absl::StatusOr<engine::Confirmed>> done) override {
    below_->Confirm(t, std::move(done));
  }
  void Extend(engine::TransactionId t, uint64_t bytes,
              engine::Done<absl::StatusOr<engine::Extended>> done) override {
    below_->Extend(t, bytes, std::move(done));
  }
  void Release(engine::TransactionId t, uint64_t mailbox) override { below_->Release(t, mailbox); }
  void Close(engine::TransactionId t) override { below_->Close(t); }
  void Commit(engine::CommitRequest request, engine::Done<absl::StatusOr<stored::Receipt>> done) override {
    below_->Commit(std::move(request), std::move(done));
  }
  void HandedOver(engine::TransactionId t, std::vector<uint64_t> mailboxes) override {
    below_->HandedOver(t, std::move(mailboxes));
  }
  void Settle(engine::TransactionId t, std::vector<uint64_t> mailboxes,
              engine::Done<absl::StatusOr<stored::Receipt>> done) override {
    below_->Settle(t, std::move(mailboxes), std::move(done));
  }
  std::unique_ptr<engine::BodyWriter> NewBody(std::optional<uint64_t> expected) override {
    return below_->NewBody(expected);
  }
  void ReadBody(engine::BodyId body, uint64_t offset, uint64_t length,
                engine::Done<absl::StatusOr<std::string>> done) override {
    below_->ReadBody(body, offset, length, std::move(done));
  }
  void UpdateWith(std::vector<std::unique_ptr<engine::StagedBody>> bodies, engine::PartitionId partition,
                  std::vector<std::string> keys, engine::UpdateFn fn,
                  engine::Done<absl::Status> done) override {
    below_->UpdateWith(std::move(bodies), partition, std::move(keys), std::move(fn), std::move(done));
  }
  void ReadReceipts(std::string from, size_t limit,
                    engine::Done<absl::StatusOr<engine::ReceiptPage>> done) override {
    below_->ReadReceipts(std::move(from), limit, std::move(done));
  }
  void Inherit(engine::Inheritance inheritance, engine::Done<absl::Status> done) override {
    below_->Inherit(std::move(inheritance), std::move(done));
  }
  uint64_t store_time_s() override { return below_->store_time_s(); }
  void ReadEvents(uint64_t after, size_t limit,
                  engine::Done<absl::StatusOr<engine::EventPage>> done) override {
    below_->ReadEvents(after, limit, std::move(done));
  }
  void OnEvents(std::function<void()> listener) override { below_->OnEvents(std::move(listener)); }
  engine::Capacity GetCapacity() override { return below_->GetCapacity(); }
  bool HasDomains() override { return below_->HasDomains(); }
  void VerifyBodies(std::function<void(uint64_t)> progress,
                    engine::Done<absl::StatusOr<std::vector<std::string>>> done) override {
    below_->VerifyBodies(std::move(progress), std::move(done));
  }
  void RepairBodies(std::function<void(uint64_t)> progress,
                    engine::Done<absl::StatusOr<engine::Repairs>> done) override {
    below_->RepairBodies(std::move(progress), std::move(done));
  }
  void Scrub(uint64_t bytes_per_second, engine::UpkeepReport report,
             engine::Done<absl::Status> done) override {
    if (scrub) return scrub(bytes_per_second, std::move(report), std::move(done));
    below_->Scrub(bytes_per_second, std::move(report), std::move(done));
  }
  std::optional<engine::ScrubResult> LastScrub() override { return last_scrub; }
  std::map<std::string, uint64_t> Figures() override { return below_->Figures(); }
  std::map<std::string, Histogram::Values> Histograms() override { return below_->Histograms(); }
  absl::string_view name() const override { return below_->name(); }

  std::function<void()> after_scan;
  std::function<void(engine::PartitionId)> before_update;
  std::function<void(uint64_t, engine::UpkeepReport, engine::Done<absl::Status>)> scrub;
  std::optional<engine::ScrubResult> last_scrub;

 private:
  engine::Engine* const below_;
  std::atomic<int> changes_ = 0;
  std::atomic<int> kill_at_ = -1;
};

inline Address At(absl::string_view text) { return *ParseAddress(text); }

inline stored::Limit ValueOf(uint64_t value) {
  stored::Limit limit;
  limit.set_kind(stored::Limit::VALUE);
  limit.set_value(value);
  return limit;
}

class StoreTest : public testing::Test {
 protected:
  explicit StoreTest(uint64_t max_disk = quota::kUnlimited) {
    engine::MemoryOptions options;
    options.clock = &clock_;
    options.max_disk = max_disk;
    memory_ = engine::NewMemoryEngine(std::move(options));
    engine_ = std::make_unique<MortalEngine>(memory_.get());
    provisioning_ = std::make_unique<Provisioning>(engine_.get(), engine::QuotaRules(), &clock_);
    messages_ = std::make_unique<Messages>(engine_.get(), 1 << 20, &clock_);
  }

  absl::Status Domain(std::string name, DomainSettings settings = {}, std::string id = "") {
    return Get(provisioning_->CreateDomain(std::move(name), std::move(settings), std::move(id))).status();
  }
  absl::Status Mailbox(absl::string_view address, MailboxSettings settings = {}, std::string id = "") {
    return Get(provisioning_->CreateMailbox(At(address), std::move(settings), std::move(id))).status();
  }
  absl::Status Alias(absl::string_view address, absl::string_view mailbox, std::string id = "") {
    return Get(provisioning_->CreateAlias(At(address), At(mailbox), std::move(id))).status();
  }
  absl::StatusOr<MessageView> Store(absl::string_view address, std::string text, std::string id = "",
                                    std::optional<int64_t> arrival = std::nullopt) {
    Append append(messages_.get());
    AppendHeader header;
    header.parent.mailbox = At(address);
    header.request_id = std::move(id);
    header.size = text.size();
    header.arrival_us = arrival;
    absl::StatusOr<std::optional<MessageView>> begun = Get(append.Begin(std::move(header)));
    if (!begun.ok()) return begun.status();
    if (*begun) return **begun;
    RETURN_IF_ERROR(Get(append.Write(std::move(text))));
    return Get(append.Finish());
  }
  absl::Status Recover() {
    absl::Status status = absl::UnknownError("not called");
    provisioning_->RecoverInterrupted([&](absl::Status s) { status = std::move(s); });
    return status;
  }
  std::vector<std::string> Problems(uint64_t* repaired = nullptr) {
    return ProblemsOf(engine_.get(), repaired);
  }
  size_t Partitions(engine::PartitionId::Kind kind) {
    size_t count = 0;
    memory_->ListPartitions(kind, 0, 1000, [&](auto found) { count = found->size(); });
    return count;
  }

  FakeClock clock_;
  std::unique_ptr<engine::Engine> memory_;
  std::unique_ptr<MortalEngine> engine_;
  std::unique_ptr<Provisioning> provisioning_;
  std::unique_ptr<Messages> messages_;
};

}  // namespace restante::mail

#endif  // RESTANTE_TESTS_MAIL_FIXTURE_H_
