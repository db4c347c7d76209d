#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"

namespace restante::embedded {
namespace {

// Above this much that LevelDB has not taken yet, nothing more is decided.
constexpr uint64_t kMaxBacklog = uint64_t{256} << 20;

}  // namespace

// One Update from call to result.
struct EmbeddedEngine::UpdateJob {
  PartitionId partition;
  std::vector<std::string> keys;
  engine::UpdateFn fn;
  Done<absl::Status> done;
  std::map<uint64_t, std::unique_ptr<Staged>> brought;  // By number.

  // From LevelDB, by index key, as of the first fetch. Whatever changed since is
  // in keys_, which is asked first, so these never go stale.
  absl::flat_hash_map<std::string, std::optional<std::string>> fetched;
  SnapshotPtr snapshot;
  // All keys of the partition as of that moment; asked for only to erase them.
  bool wants_all_keys = false;
  std::optional<std::vector<std::string>> all_keys;

  absl::Status fetch_error;
  // Others of the partition wait until this one is decided.
  bool has_turn = false;

  // Decided: what to say, now (group 0) or when a group is durable.
  absl::Status result;
  uint64_t group = 0;
};

absl::Status EmbeddedEngine::Writable() const {
  if (stopping_) return absl::CancelledError("the store is being closed");
  if (!read_only_.ok()) return absl::UnavailableError(absl::StrCat("read-only: ", read_only_.message()));
  if (index_thread_->backlog_bytes() > kMaxBacklog) {
    return absl::UnavailableError(index_thread_->damaged()
                                      ? "the index is damaged, start the store with --rebuild-index"
                                      : "the index does not keep up");
  }
  return absl::OkStatus();
}

void EmbeddedEngine::Set(absl::string_view key, std::optional<std::string> value) {
  if (keys_.Put(key, std::move(value), gathered_.number)) gathered_.keys.emplace_back(key);
}

void EmbeddedEngine::Enter(std::unique_ptr<Staged> body, uint32_t references) {
  // Where it lies in the log is entered when the group is sealed.
  stored::BodyLocation location;
  location.set_size(body->size());
  location.set_stored_bytes(body->header.stored_bytes());
  location.set_references(references);
  if (body->own_file) {
    location.set_own_file(true);
    location.set_file(body->number());
    location.set_offset(body->header.payload_bytes);
  }
  Set(BodyKey(body->number()), location.SerializeAsString());
  gathered_.bodies.push_back(std::move(body));
}

void EmbeddedEngine::PutLocation(uint64_t body, const stored::BodyLocation& location) {
  if (location.references() > 0) {
    Set(BodyKey(body), location.SerializeAsString());
    return;
  }
  Set(BodyKey(body), std::nullopt);
  if (location.own_file()) {
    gathered_.dead_files.push_back(location.file());
  } else if (location.file() != 0) {
    // (One that is not written yet is in no figures yet.)
    stored::SegmentFigures figures = FiguresOf(location.file());
    figures.set_live_bodies(figures.live_bodies() - 1);
    figures.set_live_bytes(figures.live_bytes() - location.stored_bytes());
    Set(SegmentKey(location.file()), figures.SerializeAsString());
  }
}

void EmbeddedEngine::WhenDurable(uint64_t group, Waiter waiter) {
  waiters_[group].push_back(std::move(waiter));
}

EmbeddedEngine::SnapshotPtr EmbeddedEngine::BeginFetch() {
  if (snapshot_) fetches_.insert(snapshot_->group());
  return snapshot_;
}

void EmbeddedEngine::EndFetch(uint64_t group) { fetches_.erase(fetches_.find(group)); }

void EmbeddedEngine::Update(PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
                            Done<absl::Status> done) {
  UpdateWith({}, partition, std::move(keys), std::move(fn), std::move(done));
}

void EmbeddedEngine::UpdateWith(std::vector<std::unique_ptr<engine::StagedBody>> bodies,
                                PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
                                Done<absl::Status> done) {
  auto job = std::make_shared<UpdateJob>();
  for (std::unique_ptr<engine::StagedBody>& body : bodies) {
    if (dynamic_cast<Staged*>(body.get()) == nullptr) {
      done(absl::InvalidArgumentError("an update with a body of another engine"));
      return;
    }
    std::unique_ptr<Staged> staged(static_cast<Staged*>(body.release()));
    const uint64_t number = staged->number();
    job->brought[number] = std::move(staged);
  }
  job->partition = partition;
  job->keys = std::move(keys);
  job->fn = std::move(fn);
  job->done = std::move(done);
  RunUpdate(std::move(job));
}

void EmbeddedEngine::RunUpdate(std::shared_ptr<UpdateJob> job) {
  while (job) job = StepUpdate(std::move(job));
}

// Returns whose turn it is next in this partition, if somebody waited for it.
std::shared_ptr<EmbeddedEngine::UpdateJob> EmbeddedEngine::StepUpdate(std::shared_ptr<UpdateJob> job) {
  std::vector<std::string> missing;
  std::shared_ptr<UpdateJob> next;
  SnapshotPtr done_with;  // Let go outside the lock.
  {
    absl::MutexLock lock(&mutex_);
    // Updates of a partition are decided in the order in which they were called:
    // none overtakes one that has to fetch first.
    auto waiting = fetching_.find(job->partition);
    if (waiting != fetching_.end() && !job->has_turn) {
      waiting->second.push_back(std::move(job));
      return nullptr;
    }
    job->result = job->fetch_error.ok() ? Writable() : job->fetch_error;
    job->group = 0;
    bool fetch = job->result.ok() && Decide(*job, &missing);
    if (fetch && !job->snapshot) {
      job->snapshot = BeginFetch();
      if (!job->snapshot) {
        fetch = false;
        job->result = absl::UnavailableError("the index is being opened again");
      }
    }
    if (fetch) {
      if (!job->has_turn) fetching_[job->partition];
      job->has_turn = true;
      pool_->Post([this, job, missing = std::move(missing)] {
        Fetch(*job, missing);
        RunUpdate(job);
      });
      return nullptr;
    }
    if (job->has_turn) {
      if (waiting->second.empty()) {
        fetching_.erase(waiting);
      } else {
        next = std::move(waiting->second.front());
        waiting->second.pop_front();
        next->has_turn = true;
      }
    }
    if (job->snapshot) EndFetch(job->snapshot->group());
    done_with = std::move(job->snapshot);
    if (job->group > durable_) {
      WhenDurable(job->group, [job](const absl::Status& written) {
        if (!written.ok() && !absl::IsUnknown(written) && !absl::IsCancelled(written)) {
          job->done(absl::UnavailableError(written.message()));
        } else {
          job->done(written.ok() ? job->result : written);
        }
      });
      return next;
    }
  }
  done_with.reset();
  job->done(job->result);
  return next;
}

void EmbeddedEngine::Fetch(UpdateJob& job, const std::vector<std::string>& missing) {
  for (const std::string& key : missing) {
    absl::StatusOr<std::optional<std::string>> value = job.snapshot->Get(key);
    job.fetch_error.Update(value.status());
    if (!value.ok()) return;
    const std::optional<GroupedValue> split = *value ? SplitGroup(**value) : std::nullopt;
    job.fetched[key] = split ? std::make_optional(std::string(split->value)) : std::nullopt;
  }
  if (!job.wants_all_keys || job.all_keys) return;
  job.all_keys.emplace();
  const std::string prefix = PartitionKey(job.partition, "");
  job.fetch_error =
      job.snapshot->Visit(prefix, AfterPrefix(prefix), [&](absl::string_view key, absl::string_view) {
        job.all_keys->emplace_back(key);
        return true;
      });
}

// Returns whether something has to be fetched first.
bool EmbeddedEngine::Decide(UpdateJob& job, std::vector<std::string>* missing) {
  while (true) {
    // Errors and "no change" may rest on what is not durable yet: then they wait.
    uint64_t seen = 0;
    stored::Head head;
    const KeyTable::Found found = keys_.Newest(HeadKey(job.partition));
    seen = std::max(seen, found.group);
    if (found.value != nullptr && !head.ParseFromString(*found.value)) {
      job.result = absl::DataLossError(absl::StrCat("partition ", job.partition.number, ": damaged head"));
      return false;
    }
    engine::Values values;
    for (const std::string& key : job.keys) {
      const std::string full = PartitionKey(job.partition, key);
      const KeyTable::Found value = keys_.Newest(full);
      if (value.known) {
        seen = std::max(seen, value.group);
        if (value.value != nullptr) values[key] = *value.value;
      } else if (const auto it = job.fetched.find(full); it != job.fetched.end()) {
        if (it->second) values[key] = *it->second;
      } else {
        missing->push_back(full);
      }
    }
    if (!missing->empty()) return true;
    // The directory is there from the beginning.
    const bool exists = found.value != nullptr || job.partition.kind == PartitionId::Kind::kDirectory;
    if (found.value == nullptr && exists) head.mutable_directory();
    absl::StatusOr<engine::Verdict> verdict =
        job.fn(engine::View{.head = exists ? &head : nullptr, .values = values});
    if (!verdict.ok() || std::holds_alternative<engine::NoChange>(*verdict)) {
      job.result = verdict.status();
      job.group = seen;
      return false;
    }
    if (auto* more = std::get_if<engine::NeedKeys>(&*verdict)) {
      bool progress = false;
      for (std::string& key : more->keys) {
        if (std::find(job.keys.begin(), job.keys.end(), key) != job.keys.end()) continue;
        job.keys.push_back(std::move(key));
        progress = true;
      }
      if (progress) continue;
      job.result = absl::InternalError("an update asks for the keys that it was given");
      return false;
    }
    return Apply(job, std::get<engine::Change>(*verdict), missing);
  }
}

bool EmbeddedEngine::Apply(UpdateJob& job, const engine::Change& change, std::vector<std::string>* missing) {
  // References first: they may have to be fetched.
  std::map<uint64_t, int64_t> references;
  for (const BodyId body : change.released_bodies) --references[static_cast<uint64_t>(body)];
  for (const BodyId body : change.added_bodies) ++references[static_cast<uint64_t>(body)];
  std::map<uint64_t, stored::BodyLocation> locations;
  for (const auto& [body, difference] : references) {
    if (difference == 0 || (difference > 0 && job.brought.count(body) > 0)) continue;
    const std::string key = BodyKey(body);
    const KeyTable::Found found = keys_.Newest(key);
    std::optional<std::string> value;
    if (found.known) {
      if (found.value != nullptr) value = *found.value;
    } else if (const auto it = job.fetched.find(key); it != job.fetched.end()) {
      value = it->second;
    } else {
      missing->push_back(key);
      continue;
    }
    stored::BodyLocation& location = locations[body];
    if (!value) {
      // Whoever saw it saw it go: the reader of a copy, or a group on its way.
      job.result = absl::NotFoundError(absl::StrCat("body ", body, ": no such body"));
      job.group = std::max(job.group, found.group);
      return false;
    }
    if (!location.ParseFromString(*value)) {
      job.result = absl::DataLossError(absl::StrCat("body ", body, ": damaged location"));
      return false;
    }
    if (difference < 0 && location.references() < static_cast<uint64_t>(-difference)) {
      job.result = absl::DataLossError(absl::StrCat("body ", body, ": has ", location.references(),
                                                    " references, ", -difference, " are given up"));
      return false;
    }
    location.set_references(static_cast<uint32_t>(location.references() + difference));
  }
  if (change.erase_partition && !job.all_keys) {
    job.wants_all_keys = true;
    return true;
  }
  if (!missing->empty()) return true;
  absl::flat_hash_set<std::string> all;
  if (change.erase_partition) {
    all.insert(job.all_keys->begin(), job.all_keys->end());
    const std::string prefix = PartitionKey(job.partition, "");
    keys_.Visit(prefix, AfterPrefix(prefix), UINT64_MAX,
                [&](const std::string& key, const std::string* value) {
                  if (value != nullptr) all.insert(key);
                  if (value == nullptr) all.erase(key);
                  return true;
                });
    uint64_t entries = 0;
    for (const std::string& key : all) {
      entries += engine::EntryUid(key.substr(kPartitionPrefixBytes)).has_value();
    }
    if (entries > 0) {
      job.result = absl::FailedPreconditionError(
          absl::StrCat("partition ", job.partition.number, ": still holds ", entries, " messages"));
      job.group = keys_.Newest(HeadKey(job.partition)).group;
      return false;
    }
  }

  for (const auto& [body, location] : locations) PutLocation(body, location);
  for (auto& [body, staged] : job.brought) {
    const auto it = references.find(body);
    if (it != references.end() && it->second > 0) Enter(std::move(staged), static_cast<uint32_t>(it->second));
  }
  if (change.erase_partition) {
    for (const std::string& key : all) Set(key, std::nullopt);
    Set(HeadKey(job.partition), std::nullopt);
  } else {
    for (const auto& [key, value] : change.puts) Set(PartitionKey(job.partition, key), value);
    for (const std::string& key : change.erased) Set(PartitionKey(job.partition, key), std::nullopt);
    Set(HeadKey(job.partition), change.head.SerializeAsString());
  }
  job.group = gathered_.number;
  TellThresholds(job.partition);
  if (!change.unmeasured) RecordCrossings(job.partition);
  if (job.partition.kind == PartitionId::Kind::kMailbox) {
    unsettled_heads_[job.partition.number] = job.group;
    TellLedger(job.partition);
  }
  return false;
}

}  // namespace restante::embedded
