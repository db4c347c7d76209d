#include "server/engine/rados/partition.h"

#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/shard_reader.h"

namespace restante::rados {
namespace {

constexpr char kSeq[] = "seq", kHead[] = "head", kTail[] = "tail";

// Steps in one write at most.
constexpr size_t kStepsAtOnce = 256;
// From then on a store that was not the first waits a little, at random.
constexpr int kConflictsWithoutPause = 3;

std::string Next(const std::string& seq) {
  uint64_t number = FromHex(seq).value_or(0);
  return Hex(number + 1);
}

absl::Duration RandomPause() {
  thread_local std::mt19937 random{std::random_device()()};
  return absl::Microseconds(std::uniform_int_distribution<int>(1'000, 20'000)(random));
}

}  // namespace

absl::StatusOr<PartitionState> StateOf(const ObjectRead& read, const std::string& object) {
  PartitionState state;
  if (read.result == -ENOENT) return state;
  if (read.result < 0) return ToStatus(read.result, object);
  const auto find = [&](const char* name) -> const std::string* {
    const auto it = read.xattrs.find(name);
    return it == read.xattrs.end() ? nullptr : &it->second;
  };
  const std::string *seq = find(kSeq), *head = find(kHead), *tail = find(kTail);
  std::optional<Shards> shards = ShardsIn(read);
  state.exists = true;
  if (seq == nullptr || head == nullptr || !state.head.ParseFromString(*head) ||
      (tail != nullptr && !state.tail.ParseFromString(*tail)) || !shards) {
    return absl::DataLossError(absl::StrCat("object `", object, "`: its attributes are damaged"));
  }
  state.seq = *seq;
  state.shards = *std::move(shards);
  return state;
}

Partition::Partition(PartitionId id, Pool* pool, Later* later,
                     std::function<void(const PartitionState&)> written)
    : id_(id), object_(PartitionObject(id)), pool_(pool), later_(later), written_(std::move(written)) {}

void Partition::Post(Step step, absl::AnyInvocable<void(absl::Status)> done) {
  {
    absl::MutexLock lock(&mutex_);
    queue_.push_back({std::move(step), std::move(done)});
    if (working_) return;
    working_ = true;
  }
  Start<bool>(Work(), [self = shared_from_this()](bool) {});
}

Await<absl::Status> Partition::Post(Step step) {
  return Await<absl::Status>(
      [this, step = std::move(step)](auto done) mutable { Post(std::move(step), std::move(done)); });
}

bool Partition::idle() const {
  absl::MutexLock lock(&mutex_);
  return !working_;
}

std::optional<PartitionState> Partition::Cached(int64_t* since_us) const {
  absl::MutexLock lock(&mutex_);
  *since_us = state_us_;
  return state_;
}

Task<absl::StatusOr<PartitionState>> Partition::Read(std::vector<std::string> keys,
                                                     std::map<std::string, std::string>* values) {
  while (true) {
    ReadOp op = pool_->NewRead();
    op.Xattrs().Omap(keys);
    ObjectRead read = co_await pool_->Read(object_, std::move(op));
    CO_ASSIGN_OR_RETURN(PartitionState state, StateOf(read, object_));
    if (values == nullptr || !state.exists) co_return state;
    std::map<std::string, std::optional<std::string>> found;
    const absl::Status status =
        co_await FindRows(pool_, object_, state.shards, keys, std::move(read.omap), &found);
    if (absl::IsAborted(status)) continue;
    if (!status.ok()) co_return status;
    for (auto& [key, value] : found) {
      if (value) values->emplace(key, *std::move(value));
    }
    co_return state;
  }
}

Task<bool> Partition::Work() {
  while (true) {
    std::vector<Posted> batch;
    {
      absl::MutexLock lock(&mutex_);
      while (!queue_.empty() && batch.size() < kStepsAtOnce) {
        const bool alone = queue_.front().step.ends_epoch;
        if (alone && !batch.empty()) break;
        batch.push_back(std::move(queue_.front()));
        queue_.pop_front();
        if (alone) break;
      }
      if (batch.empty()) {
        working_ = false;
        co_return true;
      }
    }
    co_await RunBatch(std::move(batch));
  }
}

Task<bool> Partition::RunBatch(std::vector<Posted> batch) {
  Draft::Known known = {.values = reservations_, .prefixes = {}};
  bool fresh = false, expects = true;
  int conflicts = 0;
  const auto end_all = [&](const absl::Status& status) {
    for (Posted& posted : batch) std::move(posted.done)(status);
  };
  while (true) {
    std::optional<PartitionState> state;
    uint64_t epoch;
    {
      absl::MutexLock lock(&mutex_);
      state = state_;
      epoch = epoch_;
    }
    if (!state) {
      known = {};
      reservations_.clear();
      const absl::Status status = co_await ReadState();
      if (!status.ok()) {
        end_all(status);
        co_return false;
      }
      fresh = true;
      continue;
    }

    Draft draft(id_, *state, known, fresh, expects, epoch);
    bool again = false;
    for (Posted& posted : batch) again |= !posted.step.run(draft);
    if (again) {
      if (!draft.wants_fresh_ && draft.wanted_.empty() && draft.wanted_prefixes_.empty()) {
        end_all(absl::InternalError("a step asks for what it has"));
        co_return false;
      }
      absl::Status status = absl::AbortedError("a fresh state is wanted");
      if (!draft.wants_fresh_) status = co_await ReadWanted(draft, &known);
      if (absl::IsAborted(status)) {
        absl::MutexLock lock(&mutex_);
        state_.reset();
        ++epoch_;
      } else if (!status.ok()) {
        end_all(status);
        co_return false;
      }
      continue;
    }
    if (!draft.touched_) {
      if (!draft.expected_none_.empty()) {
        // No write proves it.
        expects = false;
        continue;
      }
      end_all(absl::OkStatus());
      co_return true;
    }

    const bool frees = std::all_of(batch.begin(), batch.end(), [](const Posted& p) { return p.step.frees; });
    draft.state_.seq = Next(state->seq);
    WriteOp op = Compose(*state, &draft);
    const int result = co_await pool_->Write(object_, std::move(op), frees);
    if (result == 0) {
      {
        absl::MutexLock lock(&mutex_);
        state_ = draft.state_;
        state_us_ = Clock::System()->MonotonicMicros();
        if (batch.front().step.ends_epoch) ++epoch_;
      }
      Keep(draft);
      if (written_) written_(draft.state_);
      end_all(absl::OkStatus());
      co_return true;
    }
    {
      absl::MutexLock lock(&mutex_);
      state_.reset();
      ++epoch_;
    }
    if (result == -ECANCELED || result == -EEXIST || result == -ENOENT) {
      ++conflicts_;
      expects = false;
      if (++conflicts > kConflictsWithoutPause) co_await later_->Sleep(RandomPause());
      continue;
    }
    const absl::Status status = ToStatus(result, object_);
    if (absl::IsResourceExhausted(status) && !frees) {
      // The others go on without those that a full cluster does not take.
      std::vector<Posted> rest;
      for (Posted& posted : batch) {
        if (posted.step.frees)
          rest.push_back(std::move(posted));
        else
          std::move(posted.done)(status);
      }
      if (rest.empty()) co_return false;
      batch = std::move(rest);
      continue;
    }
    end_all(status);
    co_return false;
  }
}

void Partition::Keep(const Draft& draft) {
  if (draft.removed_) reservations_.clear();
  for (auto it = draft.changes_.lower_bound(kReservationPrefix);
       it != draft.changes_.end() && absl::StartsWith(it->first, kReservationPrefix); ++it) {
    if (it->second) reservations_[it->first] = it->second;
    if (!it->second) reservations_.erase(it->first);
  }
}

Task<absl::Status> Partition::ReadState() {
  ReadOp op = pool_->NewRead();
  op.Xattrs();
  const ObjectRead read = co_await pool_->Read(object_, std::move(op));
  CO_ASSIGN_OR_RETURN(PartitionState state, StateOf(read, object_));
  absl::MutexLock lock(&mutex_);
  state_ = std::move(state);
  state_us_ = Clock::System()->MonotonicMicros();
  ++epoch_;
  co_return absl::OkStatus();
}

Task<absl::Status> Partition::ReadWanted(const Draft& draft, Draft::Known* known) {
  // (The guard is that of the state which the steps have seen.)
  PartitionState state;
  {
    absl::MutexLock lock(&mutex_);
    state = *state_;
  }
  if (!state.exists) {
    for (const std::string& key : draft.wanted_) known->values[key] = std::nullopt;
    known->prefixes.insert(draft.wanted_prefixes_.begin(), draft.wanted_prefixes_.end());
    co_return absl::OkStatus();
  }
  if (!draft.wanted_.empty()) {
    std::vector<std::string> keys(draft.wanted_.begin(), draft.wanted_.end());
    ReadOp op = pool_->NewRead();
    op.CompareXattr(kSeq, state.seq).Omap(keys);
    ObjectRead read = co_await pool_->Read(object_, std::move(op));
    if (read.result < 0) co_return ToStatus(read.result == -ENOENT ? -ECANCELED : read.result, object_);
    CO_RETURN_IF_ERROR(co_await FindRows(pool_, object_, state.shards, std::move(keys), std::move(read.omap),
                                         &known->values));
  }
  for (const std::string& prefix : draft.wanted_prefixes_) {
    RowScan scan(pool_, object_, prefix, EndOf(prefix));
    scan.While(state.seq);
    Rows rows;
    bool more = true;
    while (more) {
      CO_ASSIGN_OR_RETURN(more, co_await scan.Next(&rows));
      for (auto& [key, value] : rows) known->values[key] = std::move(value);
    }
    known->prefixes.insert(prefix);
  }
  co_return absl::OkStatus();
}

WriteOp Partition::Compose(const PartitionState& before, Draft* draft) const {
  PartitionState& state = draft->state_;
  WriteOp op = pool_->NewWrite();
  if (before.exists) {
    op.CompareXattr(kSeq, before.seq);
    for (const std::string& key : draft->expected_none_) op.CompareOmap(key, "");
    if (draft->removed_ && !state.exists) {
      op.Remove();
      return op;
    }
  } else {
    op.Create(/*exclusive=*/true);
  }
  Rows rows;
  std::vector<std::string> erased(draft->dropped_.begin(), draft->dropped_.end());
  uint64_t own_rows = state.tail.own_rows();
  for (const auto& [key, value] : draft->changes_) {
    if (value) {
      rows.emplace_back(key, ToRow(key, *value));
    } else if (LeavesTombstone(state.shards, key)) {
      rows.emplace_back(key, kTombstone);
    } else {
      if (before.exists) erased.push_back(key);
      continue;
    }
    if (Spills(key)) ++own_rows;
  }
  state.tail.set_own_rows(own_rows);
  op.SetXattr(kSeq, state.seq);
  op.SetXattr(kHead, state.head.SerializeAsString());
  op.SetXattr(kTail, state.tail.SerializeAsString());
  if (state.shards != before.shards) {
    op.SetXattr(kShardsXattr, state.shards ? state.shards->SerializeAsString() : "");
  }
  op.EraseOmap(erased);
  op.SetOmap(rows);
  return op;
}

}  // namespace restante::rados
