// An engine that passes everything on to another, but for what its heirs do themselves.
#ifndef RESTANTE_SERVER_ENGINE_MOVING_PASSING_ENGINE_H_
#define RESTANTE_SERVER_ENGINE_MOVING_PASSING_ENGINE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/engine/engine.h"

namespace restante::moving {

using engine::Done;
using engine::PartitionId;
using engine::TransactionId;

class PassingEngine : public engine::Engine {
 public:
  uint64_t NewNumber() override { return current()->NewNumber(); }
  void Read(PartitionId partition, std::vector<std::string> keys,
            Done<absl::StatusOr<engine::ReadResult>> done) override {
    current()->Read(partition, std::move(keys), std::move(done));
  }
  void ReadRecent(PartitionId partition, std::vector<std::string> keys,
                  Done<absl::StatusOr<engine::ReadResult>> done) override {
    current()->ReadRecent(partition, std::move(keys), std::move(done));
  }
  void Scan(PartitionId partition, std::string from, std::string to, size_t limit,
            Done<absl::StatusOr<engine::ScanPage>> done) override {
    current()->Scan(partition, std::move(from), std::move(to), limit, std::move(done));
  }
  using Listed = std::vector<std::pair<uint64_t, engine::stored::Head>>;
  void ListPartitions(PartitionId::Kind kind, uint64_t after, size_t limit,
                      Done<absl::StatusOr<Listed>> done) override {
    current()->ListPartitions(kind, after, limit, std::move(done));
  }
  void Check(uint64_t mailbox, engine::Demand demand,
             Done<absl::StatusOr<engine::ReserveResult>> done) override {
    current()->Check(mailbox, demand, std::move(done));
  }
  void ReadEvents(uint64_t after, size_t limit, Done<absl::StatusOr<engine::EventPage>> done) override {
    current()->ReadEvents(after, limit, std::move(done));
  }
  // Whoever takes over from a store asks what keeps it.
  void UpdateWith(std::vector<std::unique_ptr<engine::StagedBody>>, PartitionId, std::vector<std::string>,
                  engine::UpdateFn, Done<absl::Status> done) override {
    done(absl::UnimplementedError("nothing is taken over by a store that is served"));
  }
  void ReadReceipts(std::string from, size_t limit, Done<absl::StatusOr<engine::ReceiptPage>> done) override {
    current()->ReadReceipts(std::move(from), limit, std::move(done));
  }
  void Inherit(engine::Inheritance, Done<absl::Status> done) override {
    done(absl::UnimplementedError("nothing is taken over by a store that is served"));
  }
  uint64_t store_time_s() override { return current()->store_time_s(); }
  engine::Capacity GetCapacity() override { return current()->GetCapacity(); }
  bool HasDomains() override { return current()->HasDomains(); }
  void VerifyBodies(std::function<void(uint64_t)> progress,
                    Done<absl::StatusOr<std::vector<std::string>>> done) override {
    current()->VerifyBodies(std::move(progress), std::move(done));
  }
  void RepairBodies(std::function<void(uint64_t)> progress,
                    Done<absl::StatusOr<engine::Repairs>> done) override {
    current()->RepairBodies(std::move(progress), std::move(done));
  }
  void Scrub(uint64_t bytes_per_second, engine::UpkeepReport report, Done<absl::Status> done) override {
    current()->Scrub(bytes_per_second, std::move(report), std::move(done));
  }
  std::optional<engine::ScrubResult> LastScrub() override { return current()->LastScrub(); }
  void Compact(engine::UpkeepReport report, Done<absl::Status> done) override {
    current()->Compact(std::move(report), std::move(done));
  }
  void Backup(engine::BackupOptions options, engine::UpkeepReport report,
              Done<absl::StatusOr<engine::BackupSummary>> done) override {
    current()->Backup(std::move(options), std::move(report), std::move(done));
  }
  void SettleDead(engine::SettleReport report, Done<absl::Status> done) override {
    current()->SettleDead(std::move(report), std::move(done));
  }
  void SweepOrphans(engine::SweepReport report, Done<absl::Status> done) override {
    current()->SweepOrphans(std::move(report), std::move(done));
  }
  std::map<std::string, uint64_t> Figures() override { return current()->Figures(); }
  std::map<std::string, Histogram::Values> Histograms() override { return current()->Histograms(); }
  absl::string_view name() const override { return current()->name(); }

 protected:
  // The one that everything goes to now. Any thread.
  virtual engine::Engine* current() const = 0;
};

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_PASSING_ENGINE_H_
