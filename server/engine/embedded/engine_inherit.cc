// What this store takes over from another one, and tells one that takes over from it.
#include <algorithm>
#include <utility>

#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/merged_scan.h"

namespace restante::embedded {

// A place is a key of the index.
void EmbeddedEngine::ReadReceipts(std::string from, size_t limit,
                                  Done<absl::StatusOr<engine::ReceiptPage>> done) {
  // Younger than the lifetime are those of this bucket and the one before.
  const uint64_t bucket = ReceiptBucket();
  from = std::max(from, ReceiptBucketKey(bucket - std::min<uint64_t>(bucket, 1)));
  const std::string to = AfterPrefix("r");
  MergedScan::Newer newer;
  SnapshotPtr snapshot;
  {
    absl::MutexLock lock(&mutex_);
    newer = MergedScan::Collect(keys_, from, to, durable_);
    snapshot = snapshot_;
  }
  if (!snapshot) {
    done(absl::UnavailableError("the index is being opened again"));
    return;
  }
  pool_->Post([this, from, to, limit, newer = std::move(newer), snapshot = std::move(snapshot),
               done = std::move(done)]() mutable {
    engine::ReceiptPage page;
    const uint64_t now = StoreTime();
    absl::Status damaged;
    absl::Status status =
        MergedScan::Visit(*snapshot, newer, from, to, [&](absl::string_view key, absl::string_view value) {
          if (page.receipts.size() == limit) {
            page.next = std::string(key);
            return false;
          }
          stored::Receipt receipt;
          const auto id = TransactionId::FromBytes(key.substr(std::min<size_t>(key.size(), 9)));
          if (!id || !receipt.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
            damaged = absl::DataLossError("index: a damaged receipt");
            return false;
          }
          if (now < receipt.store_time_s() + options_.receipt_seconds) {
            page.receipts.emplace_back(*id, std::move(receipt));
          }
          return true;
        });
    snapshot.reset();
    status.Update(damaged);
    if (status.ok()) {
      done(std::move(page));
    } else {
      done(status);
    }
  });
}

void EmbeddedEngine::InheritEvents(std::vector<stored::Event> events) {
  stored::EventsHead head = EventsAsOf(gathered_.number);
  for (uint64_t sequence = head.oldest(); sequence < head.next(); ++sequence) {
    Set(EventKey(sequence), std::nullopt);
  }
  head.set_disk_full(false);
  for (const stored::Event& event : events) {
    Set(EventKey(event.sequence()), event.SerializeAsString());
    head.set_next(std::max(head.next(), event.sequence() + 1));
    if (event.has_disk()) head.set_disk_full(event.disk().full());
  }
  head.set_oldest(events.empty() ? head.next() : events.front().sequence());
  Set(kEventsKey, head.SerializeAsString());
  gathered_.events = true;
}

void EmbeddedEngine::Inherit(engine::Inheritance inheritance, Done<absl::Status> done) {
  absl::Status refused;
  {
    absl::MutexLock lock(&mutex_);
    refused = Writable();
    if (refused.ok()) {
      // (Both are written with every group.)
      store_time_base_ += inheritance.store_time_s - std::min(inheritance.store_time_s, StoreTime());
      uint64_t next = bodies_->next_number;
      while (next < inheritance.next_number &&
             !bodies_->next_number.compare_exchange_weak(next, inheritance.next_number)) {
      }
      for (const auto& [id, receipt] : inheritance.receipts) {
        Set(ReceiptKey(receipt.store_time_s() / options_.receipt_seconds, id), receipt.SerializeAsString());
      }
      if (inheritance.events) InheritEvents(*std::move(inheritance.events));
      stored::EventsHead head = EventsAsOf(gathered_.number);
      if (head.next() < inheritance.next_event) {
        if (head.oldest() == head.next()) head.set_oldest(inheritance.next_event);
        head.set_next(inheritance.next_event);
      }
      Set(kEventsKey, head.SerializeAsString());
      WhenDurable(gathered_.number, [done = std::move(done)](const absl::Status& written) mutable {
        done(written.ok() || absl::IsUnknown(written) || absl::IsCancelled(written)
                 ? written
                 : absl::UnavailableError(written.message()));
      });
    }
  }
  if (!refused.ok()) done(refused);
}

}  // namespace restante::embedded
