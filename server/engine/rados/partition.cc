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

namespace restante::rados {
namespace {

constexpr char kSeq[] = "seq", kHead[] = "head", kTail[] = "tail";

// Steps in one write at most.
constexpr size_t kStepsAtOnce = 256;
constexpr uint64_t kRowsAtOnce = 1000;
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

// --- drafts ------------------------------------------------------------------------

bool Draft::Has(const std::string& key) {
  if (changes_.count(key) > 0 || known_.values.count(key) > 0) return true;
  for (const std::string& prefix : known_.prefixes) {
    if (absl::StartsWith(key, prefix)) return true;
  }
  wanted_.insert(key);
  return false;
}

bool Draft::HasAll(const std::string& prefix) {
  if (known_.prefixes.count(prefix) > 0) return true;
  wanted_prefixes_.insert(prefix);
  return false;
}

bool Draft::IsFresh() {
  if (fresh_) return true;
  wants_fresh_ = true;
  return false;
}

const std::string* Draft::Find(const std::string& key) const {
  if (const auto it = changes_.find(key); it != changes_.end()) {
    return it->second ? &*it->second : nullptr;
  }
  const auto it = known_.values.find(key);
  return it != known_.values.end() && it->second ? &*it->second : nullptr;
}

Rows Draft::All(const std::string& prefix) const {
  std::map<std::string, std::string> rows;
  for (auto it = known_.values.lower_bound(prefix);
       it != known_.values.end() && absl::StartsWith(it->first, prefix); ++it) {
    if (it->second) rows[it->first] = *it->second;
  }
  for (auto it = changes_.lower_bound(prefix); it != changes_.end() && absl::StartsWith(it->first, prefix);
       ++it) {
    if (it->second) rows[it->first] = *it->second;
    if (!it->second) rows.erase(it->first);
  }
  return {rows.begin(), rows.end()};
}

void Draft::Put(const std::string& key, std::string value) {
  changes_[key] = std::move(value);
  touched_ = true;
}

void Draft::Erase(const std::string& key) {
  changes_[key] = std::nullopt;
  touched_ = true;
}

void Draft::Remove() {
  state_ = PartitionState();
  changes_.clear();
  removed_ = true;
  touched_ = true;
}

// --- the partition -----------------------------------------------------------------

absl::StatusOr<PartitionState> StateOf(const ObjectRead& read, const std::string& object) {
  PartitionState state;
  if (read.result == -ENOENT) return state;
  if (read.result < 0) return ToStatus(read.result, object);
  const auto find = [&](const char* name) -> const std::string* {
    const auto it = read.xattrs.find(name);
    return it == read.xattrs.end() ? nullptr : &it->second;
  };
  const std::string *seq = find(kSeq), *head = find(kHead), *tail = find(kTail);
  state.exists = true;
  if (seq == nullptr || head == nullptr || !state.head.ParseFromString(*head) ||
      (tail != nullptr && !state.tail.ParseFromString(*tail))) {
    return absl::DataLossError(absl::StrCat("object `", object, "`: its attributes are damaged"));
  }
  state.seq = *seq;
  return state;
}

Partition::Partition(PartitionId id, Pool* pool, Later* later)
    : id_(id), object_(PartitionObject(id)), pool_(pool), later_(later) {}

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
  ReadOp op = pool_->NewRead();
  op.Xattrs().Omap(keys);
  ObjectRead read = co_await pool_->Read(object_, std::move(op));
  CO_ASSIGN_OR_RETURN(PartitionState state, StateOf(read, object_));
  if (values != nullptr) *values = std::move(read.omap);
  co_return state;
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
  Draft::Known known;
  bool fresh = false;
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
      std::set<std::string> keys;
      const int result = co_await ReadState(keys, &known);
      if (result < 0) {
        end_all(result == -EBADMSG
                    ? absl::DataLossError(absl::StrCat("object `", object_, "`: its attributes are damaged"))
                    : ToStatus(result, object_));
        co_return false;
      }
      fresh = true;
      continue;
    }

    Draft draft(id_, *state, known, fresh, epoch);
    bool again = false;
    for (Posted& posted : batch) again |= !posted.step.run(draft);
    if (again) {
      if (!draft.wants_fresh_ && draft.wanted_.empty() && draft.wanted_prefixes_.empty()) {
        end_all(absl::InternalError("a step asks for what it has"));
        co_return false;
      }
      int result = -ECANCELED;
      if (!draft.wants_fresh_) result = co_await ReadWanted(draft, &known);
      if (result == -ECANCELED) {
        absl::MutexLock lock(&mutex_);
        state_.reset();
        ++epoch_;
      } else if (result < 0) {
        end_all(ToStatus(result, object_));
        co_return false;
      }
      continue;
    }
    if (!draft.touched_) {
      end_all(absl::OkStatus());
      co_return true;
    }

    const bool frees = std::all_of(batch.begin(), batch.end(), [](const Posted& p) { return p.step.frees; });
    draft.state_.seq = Next(state->seq);
    WriteOp op = Compose(draft, *state);
    const int result = co_await pool_->Write(object_, std::move(op), frees);
    if (result == 0) {
      {
        absl::MutexLock lock(&mutex_);
        state_ = draft.state_;
        state_us_ = Clock::System()->MonotonicMicros();
        if (batch.front().step.ends_epoch) ++epoch_;
      }
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

Task<int> Partition::ReadState(const std::set<std::string>& keys, Draft::Known* known) {
  ReadOp op = pool_->NewRead();
  op.Xattrs().Omap({keys.begin(), keys.end()});
  const ObjectRead read = co_await pool_->Read(object_, std::move(op));
  absl::StatusOr<PartitionState> state = StateOf(read, object_);
  if (!state.ok()) co_return absl::IsDataLoss(state.status()) ? -EBADMSG : read.result;
  for (const std::string& key : keys) {
    const auto it = read.omap.find(key);
    known->values[key] = it == read.omap.end() ? std::nullopt : std::make_optional(it->second);
  }
  absl::MutexLock lock(&mutex_);
  state_ = *std::move(state);
  state_us_ = Clock::System()->MonotonicMicros();
  ++epoch_;
  co_return 0;
}

Task<int> Partition::ReadWanted(const Draft& draft, Draft::Known* known) {
  // (The guard is that of the state which the steps have seen.)
  std::string seq;
  bool exists;
  {
    absl::MutexLock lock(&mutex_);
    seq = state_->seq;
    exists = state_->exists;
  }
  if (!exists) {
    for (const std::string& key : draft.wanted_) known->values[key] = std::nullopt;
    known->prefixes.insert(draft.wanted_prefixes_.begin(), draft.wanted_prefixes_.end());
    co_return 0;
  }
  if (!draft.wanted_.empty()) {
    ReadOp op = pool_->NewRead();
    op.CompareXattr(kSeq, seq).Omap({draft.wanted_.begin(), draft.wanted_.end()});
    ObjectRead read = co_await pool_->Read(object_, std::move(op));
    if (read.result == -ENOENT) co_return -ECANCELED;
    if (read.result < 0) co_return read.result;
    for (const std::string& key : draft.wanted_) {
      const auto it = read.omap.find(key);
      known->values[key] = it == read.omap.end() ? std::nullopt : std::make_optional(std::move(it->second));
    }
  }
  for (const std::string& prefix : draft.wanted_prefixes_) {
    std::string after = prefix;
    bool more = true;
    while (more) {
      ReadOp op = pool_->NewRead();
      op.CompareXattr(kSeq, seq).OmapAfter(after, prefix, kRowsAtOnce);
      ObjectRead read = co_await pool_->Read(object_, std::move(op));
      if (read.result == -ENOENT) co_return -ECANCELED;
      if (read.result < 0) co_return read.result;
      more = read.more && !read.rows.empty();
      if (more) after = read.rows.back().first;
      for (auto& [key, value] : read.rows) known->values[key] = std::move(value);
    }
    known->prefixes.insert(prefix);
  }
  co_return 0;
}

WriteOp Partition::Compose(const Draft& draft, const PartitionState& before) const {
  WriteOp op = pool_->NewWrite();
  if (before.exists) {
    op.CompareXattr(kSeq, before.seq);
    if (draft.removed_ && !draft.state_.exists) {
      op.Remove();
      return op;
    }
  } else {
    op.Create(/*exclusive=*/true);
  }
  op.SetXattr(kSeq, draft.state_.seq);
  op.SetXattr(kHead, draft.state_.head.SerializeAsString());
  op.SetXattr(kTail, draft.state_.tail.SerializeAsString());
  Rows rows;
  std::vector<std::string> erased;
  for (const auto& [key, value] : draft.changes_) {
    if (value) rows.emplace_back(key, *value);
    if (!value && before.exists) erased.push_back(key);
  }
  op.EraseOmap(erased);
  op.SetOmap(rows);
  return op;
}

}  // namespace restante::rados
