#include "server/engine/rados/rados_engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/pool_check.h"

namespace restante::rados {
namespace {

// Partitions that are remembered; more are forgotten as they fall idle.
constexpr size_t kRememberedPartitions = 50'000;

}  // namespace

RadosEngine::RadosEngine(Options options, std::unique_ptr<Cluster> cluster, std::unique_ptr<Pool> index,
                         std::unique_ptr<Pool> body)
    : options_(std::move(options)),
      clock_(options_.clock),
      start_us_(clock_->MonotonicMicros()),
      cluster_(std::move(cluster)),
      index_(std::move(index)),
      body_pool_(std::move(body)),
      later_(std::make_unique<Later>()),
      bodies_(std::make_unique<Bodies>(body_pool_.get(), [this] { return BodyId{NewNumber()}; })),
      deadlines_(options_.patience),
      disk_(options_.rules, options_.clock) {
  if (options_.measured) {
    room_ = std::make_unique<ClusterRoom>(cluster_.get(),
                                          RoomPools{.index = options_.pool_index, .body = options_.pool_body},
                                          [this] { return stored_bytes_.load(); });
  }
  absl::MutexLock lock(&mutex_);
  disk_.SetDisk(options_.max_disk, 0);
}

RadosEngine::~RadosEngine() {
  // What is open is given back, what is committing is waited for.
  closing_ = true;
  if (hints_) hints_->Stop();
  std::vector<TransactionId> open;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, transaction] : transactions_) {
      if (!transaction.committing) open.push_back(id);
    }
  }
  for (const TransactionId& id : open) Close(id);
  later_->Stop();
  AwaitTasks();
  if (incarnation_ != 0) EndLife();
  AwaitTasks();
  cluster_->AwaitIdle();
}

void RadosEngine::AwaitTasks() {
  absl::MutexLock lock(&tasks_mutex_);
  const auto none = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return tasks_ == 0; };
  if (tasks_ended_.AwaitFor(&tasks_mutex_, options_.end_patience, none)) return;
  if (options_.give_up) options_.give_up();
  tasks_ended_.AwaitFor(&tasks_mutex_, absl::InfiniteDuration(), none);
}

void RadosEngine::LookAtDeadlines() {
  BeginTask();
  later_->After(absl::Milliseconds(200), [this] {
    if (!closing_) {
      deadlines_.Look();
      LookAtDeadlines();
    }
    EndTask();
  });
}

void RadosEngine::BeginTask() {
  absl::MutexLock lock(&tasks_mutex_);
  ++tasks_;
}

void RadosEngine::EndTask() {
  absl::MutexLock lock(&tasks_mutex_);
  if (--tasks_ == 0) tasks_ended_.Changed();
}

std::shared_ptr<Partition> RadosEngine::PartitionOf(PartitionId id) {
  absl::MutexLock lock(&partitions_mutex_);
  std::shared_ptr<Partition>& partition = partitions_[id];
  if (partition) return partition;
  partition = std::make_shared<Partition>(id, index_.get(), later_.get(), [this, id](const auto& state) {
    if (state.tail.own_rows() > options_.spill_rows) SpillLater(id);
  });
  std::shared_ptr<Partition> result = partition;
  if (partitions_.size() > kRememberedPartitions) {
    // Whoever still refers to one keeps it; two at a time would only meet at the guard.
    absl::erase_if(partitions_, [&](const auto& item) { return item.second.use_count() == 1; });
  }
  return result;
}

engine::Capacity RadosEngine::GetCapacity() {
  absl::MutexLock lock(&mutex_);
  const absl::Status measured = MeasureDisk();
  engine::Capacity capacity = disk_.capacity();
  capacity.read_only = !measured.ok() || !Promising().ok();
  return capacity;
}

absl::Status RadosEngine::MeasureDisk() {
  Room room = {.used = static_cast<uint64_t>(std::max<int64_t>(0, stored_bytes_)),
               .limit = quota::kUnlimited};
  if (room_) {
    ASSIGN_OR_RETURN(room, room_->Get());
  }
  if (disk_.SetDisk(std::min(options_.max_disk, room.limit), room.used)) NoteDisk(disk_.capacity().full);
  return absl::OkStatus();
}

std::map<std::string, uint64_t> RadosEngine::Figures() {
  uint64_t conflicts = 0;
  {
    absl::MutexLock lock(&partitions_mutex_);
    for (const auto& [id, partition] : partitions_) conflicts += partition->conflicts();
  }
  const auto micros = [](int64_t value) { return static_cast<uint64_t>(std::max<int64_t>(value, 0)); };
  absl::MutexLock lock(&mutex_);
  return {{"open_transactions", transactions_.size()},
          {"incarnation", incarnation_},
          {"runs_swept", runs_swept_},
          {"spills", spills_},
          {"hints_told", hints_ ? hints_->told() : 0},
          {"hints_heard", hints_ ? hints_->heard() : 0},
          {"hint_watches", hints_ ? hints_->watches() : 0},
          {"cluster_conflicts", conflicts},
          {"cluster_waiting_micros", micros(cluster_->WaitingMicros())},
          {"cluster_life_sign_age_micros", micros(Clock::System()->MonotonicMicros() - last_beat_us_)}};
}

std::map<std::string, Histogram::Values> RadosEngine::Histograms() {
  return {{"cluster_write_seconds", cluster_->write_seconds()},
          {"cluster_read_seconds", cluster_->read_seconds()}};
}

std::unique_ptr<engine::BodyWriter> RadosEngine::NewBody(std::optional<uint64_t>) {
  return bodies_->NewBody();
}

void RadosEngine::ReadBody(BodyId body, uint64_t offset, uint64_t length,
                           Done<absl::StatusOr<std::string>> done) {
  RunWithin<absl::StatusOr<std::string>>(bodies_->Read(body, offset, length), std::move(done));
}

absl::StatusOr<std::unique_ptr<engine::Engine>> Open(Options options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Cluster> cluster, Cluster::Connect({.conf = options.ceph_conf,
                                                                       .user = options.ceph_user,
                                                                       .keyring = options.ceph_keyring,
                                                                       .name_space = options.name_space}));
  if (!options.create) {
    RETURN_IF_ERROR(CheckStore(*cluster, {.index = options.pool_index,
                                          .body = options.pool_body,
                                          .allow_min_size_1 = options.allow_min_size_1})
                        .status());
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Pool> index, cluster->OpenPool(options.pool_index));
  ASSIGN_OR_RETURN(std::unique_ptr<Pool> body, cluster->OpenPool(options.pool_body));
  auto engine = std::make_unique<RadosEngine>(std::move(options), std::move(cluster), std::move(index),
                                              std::move(body));
  RETURN_IF_ERROR(engine->Begin());
  return engine;
}

}  // namespace restante::rados
