// An engine that does something wrong now and then: the model test must notice.
#ifndef RESTANTE_TESTS_MODEL_LIAR_H_
#define RESTANTE_TESTS_MODEL_LIAR_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/engine/commit_entry.h"
#include "tests/mail/fixture.h"

namespace restante::model {

enum class Lie {
  kLosesChanges,          // Says that an update is durable, and does nothing.
  kStoresNothing,         // Acknowledges a commit that it drops.
  kStoresTwice,           // Counts a message twice.
  kForgetsReceipts,       // Opens a transaction again whose id has a receipt.
  kHidesMessages,         // Leaves the last entry out of a scan.
  kFlipsBits,             // Reads a body with a bit wrong.
  kPromisesTooMuch,       // Reserves where there is no room.
  kKeepsClosedOpen,       // Releases nothing when a transaction is closed.
  kSettlesWithoutMaking,  // Answers "not committed" and makes no tombstone.
  kForgetsRetries,        // Leaves no open receipt.
  kSwallowsMessages,      // Keeps an open receipt that was handed over.
  kForgetsThresholds,     // Does not look whether a commit crosses one.
  kHidesEvents,           // Leaves one out.
};

class Liar : public mail::MortalEngine {
 public:
  Liar(Lie lie, std::unique_ptr<engine::Engine> honest)
      : MortalEngine(honest.get()), lie_(lie), honest_(std::move(honest)) {}

  // How often it lied.
  uint64_t lies() const { return lies_; }

  void Update(engine::PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
              engine::Done<absl::Status> done) override {
    if (partition.kind == engine::PartitionId::Kind::kMailbox && Lies(Lie::kLosesChanges, 100)) {
      return honest_->Update(
          partition, std::move(keys),
          [fn = std::move(fn)](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
            absl::StatusOr<engine::Verdict> verdict = fn(view);
            if (!verdict.ok() || !std::holds_alternative<engine::Change>(*verdict)) return verdict;
            return engine::NoChange{};
          },
          std::move(done));
    }
    honest_->Update(partition, std::move(keys), std::move(fn), std::move(done));
  }

  void Commit(engine::CommitRequest request,
              engine::Done<absl::StatusOr<engine::stored::Receipt>> done) override {
    if (Lies(Lie::kStoresNothing, 50)) {
      honest_->Close(request.transaction);
      for (auto& recipient : *request.receipt.mutable_recipients()) recipient.set_uid(1);
      return done(std::move(request.receipt));
    }
    if (!request.retry_key.empty() && Lies(Lie::kForgetsRetries, 5)) request.retry_key.clear();
    if (Lies(Lie::kForgetsThresholds, 20)) request.unmeasured = true;
    const uint64_t mailbox = request.entries.empty() ? 0 : request.entries[0].first;
    const uint64_t size = request.body->size();
    const bool twice = Lies(Lie::kStoresTwice, 50);
    honest_->Commit(std::move(request), [=, this, done = std::move(done)](auto receipt) mutable {
      if (!twice || !receipt.ok()) return done(std::move(receipt));
      honest_->Update(
          engine::PartitionId::Mailbox(mailbox), {},
          [=](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
            if (view.head == nullptr) return engine::NoChange{};
            engine::Change change;
            change.head = *view.head;
            change.head.mutable_mailbox()->set_used_bytes(change.head.mailbox().used_bytes() + size);
            return change;
          },
          [done = std::move(done), receipt = std::move(receipt)](const absl::Status&) mutable {
            done(std::move(receipt));
          });
    });
  }

  void Open(engine::TransactionId transaction, uint64_t bytes,
            engine::Done<absl::StatusOr<engine::OpenResult>> done) override {
    honest_->Open(transaction, bytes, [this, done = std::move(done)](auto result) mutable {
      if (result.ok() && std::holds_alternative<engine::stored::Receipt>(*result) &&
          Lies(Lie::kForgetsReceipts, 10)) {
        result = engine::OpenResult(engine::Opened{});
      }
      done(std::move(result));
    });
  }

  void Scan(engine::PartitionId partition, std::string from, std::string to, size_t limit,
            engine::Done<absl::StatusOr<engine::ScanPage>> done) override {
    honest_->Scan(partition, std::move(from), std::move(to), limit,
                  [this, partition, done = std::move(done)](auto page) mutable {
                    if (partition.kind == engine::PartitionId::Kind::kMailbox && page.ok() &&
                        !page->items.empty() && Lies(Lie::kHidesMessages, 100)) {
                      page->items.pop_back();
                    }
                    done(std::move(page));
                  });
  }

  void ReadEvents(uint64_t after, size_t limit,
                  engine::Done<absl::StatusOr<engine::EventPage>> done) override {
    honest_->ReadEvents(after, limit, [this, done = std::move(done)](auto page) mutable {
      if (page.ok() && !page->events.empty() && Lies(Lie::kHidesEvents, 2)) {
        page->events.erase(page->events.begin());
      }
      done(std::move(page));
    });
  }

  void ReadBody(engine::BodyId body, uint64_t offset, uint64_t length,
                engine::Done<absl::StatusOr<std::string>> done) override {
    honest_->ReadBody(body, offset, length, [this, done = std::move(done)](auto text) mutable {
      if (text.ok() && !text->empty() && Lies(Lie::kFlipsBits, 100)) text->back() ^= 1;
      done(std::move(text));
    });
  }

  void Reserve(engine::TransactionId transaction, uint64_t mailbox, engine::Demand demand,
               engine::Done<absl::StatusOr<engine::ReserveResult>> done) override {
    demand.exempt |= Lies(Lie::kPromisesTooMuch, 20);
    honest_->Reserve(transaction, mailbox, demand, std::move(done));
  }

  void Close(engine::TransactionId transaction) override {
    if (!Lies(Lie::kKeepsClosedOpen, 50)) honest_->Close(transaction);
  }

  void HandedOver(engine::TransactionId transaction, std::vector<uint64_t> mailboxes) override {
    if (!Lies(Lie::kSwallowsMessages, 5)) honest_->HandedOver(transaction, std::move(mailboxes));
  }

  void Settle(engine::TransactionId transaction, std::vector<uint64_t> mailboxes,
              engine::Done<absl::StatusOr<engine::stored::Receipt>> done) override {
    if (Lies(Lie::kSettlesWithoutMaking, 10)) return done(engine::MakeTombstone(0));
    honest_->Settle(transaction, std::move(mailboxes), std::move(done));
  }

 private:
  // Every n-th time, if this is the lie that it tells.
  bool Lies(Lie lie, uint64_t n) {
    if (lie != lie_ || ++chances_ % n != 0) return false;
    ++lies_;
    return true;
  }

  const Lie lie_;
  const std::unique_ptr<engine::Engine> honest_;
  std::atomic<uint64_t> chances_{0}, lies_{0};
};

}  // namespace restante::model

#endif  // RESTANTE_TESTS_MODEL_LIAR_H_
