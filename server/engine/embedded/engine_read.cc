#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/body_reader.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/merged_scan.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

absl::Status Reopening() { return absl::UnavailableError("the index is being opened again"); }

}  // namespace

void EmbeddedEngine::Read(PartitionId partition, std::vector<std::string> keys,
                          Done<absl::StatusOr<engine::ReadResult>> done) {
  auto result = std::make_unique<engine::ReadResult>();
  std::vector<std::string> missing;
  SnapshotPtr snapshot;
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    if (const KeyTable::Found found = keys_.AsOf(HeadKey(partition), durable_); found.value != nullptr) {
      if (!result->head.emplace().ParseFromString(*found.value)) {
        status = absl::DataLossError(absl::StrCat("partition ", partition.number, ": damaged head"));
      }
    } else if (partition.kind == PartitionId::Kind::kDirectory) {
      result->head.emplace().mutable_directory();
    }
    if (partition.kind == PartitionId::Kind::kMailbox) {
      result->reserved = ledger_.ReservedIn(partition.number);
    } else if (partition.kind == PartitionId::Kind::kDomain) {
      result->reserved = ledger_.SumsOf(partition.number).reserved;
      if (const auto it = sums_.find(partition.number); it != sums_.end()) {
        result->used_bytes = it->second.used_bytes;
        result->used_messages = it->second.used_messages;
        result->mailboxes = it->second.mailboxes;
      }
    }
    for (std::string& key : keys) {
      const KeyTable::Found found = keys_.AsOf(PartitionKey(partition, key), durable_);
      if (!found.known) {
        missing.push_back(std::move(key));
      } else if (found.value != nullptr) {
        result->values[key] = *found.value;
      }
    }
    // The snapshot and what keys_ said are the same moment: all between them is
    // in keys_.
    if (!missing.empty()) snapshot = snapshot_;
    if (!missing.empty() && !snapshot) status.Update(Reopening());
  }
  if (!status.ok() || missing.empty()) {
    if (status.ok()) {
      done(std::move(*result));
    } else {
      done(status);
    }
    return;
  }
  pool_->Post([partition, missing = std::move(missing), snapshot = std::move(snapshot),
               result = std::move(result), done = std::move(done)]() mutable {
    absl::Status failed;
    for (const std::string& key : missing) {
      const absl::StatusOr<std::optional<std::string>> value = snapshot->Get(PartitionKey(partition, key));
      failed.Update(value.status());
      if (!value.ok() || !*value) continue;
      if (const std::optional<GroupedValue> split = SplitGroup(**value))
        result->values[key] = std::string(split->value);
    }
    snapshot.reset();
    if (failed.ok()) {
      done(std::move(*result));
    } else {
      done(failed);
    }
  });
}

void EmbeddedEngine::Scan(PartitionId partition, std::string from, std::string to, size_t limit,
                          Done<absl::StatusOr<engine::ScanPage>> done) {
  const std::string prefix = PartitionKey(partition, "");
  const std::string first = PartitionKey(partition, from);
  const std::string behind = to.empty() ? AfterPrefix(prefix) : PartitionKey(partition, to);
  const auto page = std::make_shared<engine::ScanPage>();
  const auto add = [page, limit](absl::string_view key, absl::string_view value) {
    page->more = page->items.size() == limit;
    if (!page->more) page->items.emplace_back(key.substr(kPartitionPrefixBytes), value);
    return !page->more;
  };
  SnapshotPtr snapshot;
  MergedScan::Newer newer;
  bool answered = false;
  {
    absl::MutexLock lock(&mutex_);
    snapshot = snapshot_;
    if (first >= behind) {
      answered = true;
    } else if (IsPinned(first)) {
      keys_.Visit(first, behind, durable_, [&](const std::string& key, const std::string* value) {
        return !value || add(key, *value);
      });
      answered = true;
    } else {
      newer = MergedScan::Collect(keys_, first, behind, durable_);
    }
  }
  if (answered) {
    done(std::move(*page));
    return;
  }
  if (!snapshot) {
    done(Reopening());
    return;
  }
  pool_->Post([first, behind, add, page, newer = std::move(newer), snapshot = std::move(snapshot),
               done = std::move(done)]() mutable {
    absl::Status status = MergedScan::Visit(*snapshot, newer, first, behind, add);
    snapshot.reset();
    if (status.ok()) {
      done(std::move(*page));
    } else {
      done(status);
    }
  });
}

void EmbeddedEngine::ListPartitions(
    PartitionId::Kind kind, uint64_t after, size_t limit,
    Done<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>> done) {
  std::vector<std::pair<uint64_t, stored::Head>> partitions;
  if (after != UINT64_MAX) {
    absl::MutexLock lock(&mutex_);
    const std::string from = HeadKey({kind, after + 1});
    const std::string to = AfterPrefix(absl::string_view(from).substr(0, 2));
    keys_.Visit(from, to, durable_, [&](const std::string& key, const std::string* value) {
      if (value == nullptr) return true;
      if (partitions.size() == limit) return false;
      partitions.emplace_back(PartitionOfHeadKey(key).number, stored::Head());
      partitions.back().second.ParseFromString(*value);
      return true;
    });
  }
  done(std::move(partitions));
}

absl::StatusOr<stored::BodyLocation> EmbeddedEngine::Locate(uint64_t body) {
  const std::string key = BodyKey(body);
  SnapshotPtr snapshot;
  std::optional<std::string> value;
  {
    absl::MutexLock lock(&mutex_);
    const KeyTable::Found found = keys_.AsOf(key, durable_);
    if (found.value != nullptr) value = *found.value;
    if (!found.known) snapshot = snapshot_;
    if (!found.known && !snapshot) return Reopening();
  }
  if (snapshot) {
    ASSIGN_OR_RETURN(const std::optional<std::string> indexed, snapshot->Get(key));
    if (indexed) {
      const std::optional<GroupedValue> split = SplitGroup(*indexed);
      if (!split) return absl::DataLossError(absl::StrCat("body ", body, ": damaged location"));
      value = std::string(split->value);
    }
  }
  if (!value) return absl::NotFoundError(absl::StrCat("body ", body, ": no such body"));
  stored::BodyLocation location;
  if (!location.ParseFromString(*value)) {
    return absl::DataLossError(absl::StrCat("body ", body, ": damaged location"));
  }
  return location;
}

absl::StatusOr<EmbeddedEngine::LocatedBody> EmbeddedEngine::OpenLocated(uint64_t body) {
  std::string missing;
  while (true) {
    ASSIGN_OR_RETURN(stored::BodyLocation location, Locate(body));
    std::string path = PathOf(directory_, location);
    absl::StatusOr<std::shared_ptr<const File>> file = open_files_.Get(path);
    if (file.ok()) return LocatedBody{*std::move(file), std::move(location), std::move(path)};
    if (!absl::IsNotFound(file.status())) return file.status();
    // Dropped since we looked (then it cannot be located any more), moved by
    // compaction (then it is elsewhere), or lost?
    if (path == missing)
      return absl::DataLossError(absl::StrCat("body ", body, ": ", file.status().message()));
    missing = std::move(path);
  }
}

absl::StatusOr<std::string> EmbeddedEngine::ReadLocated(uint64_t body, uint64_t offset, uint64_t length) {
  ASSIGN_OR_RETURN(const LocatedBody located, OpenLocated(body));
  const BodyReader reader(*located.file, body, located.location, directory_.store());
  absl::StatusOr<std::string> octets = reader.Read(offset, std::min<uint64_t>(length, uint64_t{1} << 20));
  if (!octets.ok()) return Annotate(octets.status(), absl::StrCat("body ", body, ": ", located.path));
  return octets;
}

void EmbeddedEngine::ReadBody(BodyId body, uint64_t offset, uint64_t length,
                              Done<absl::StatusOr<std::string>> done) {
  pool_->Post([this, id = static_cast<uint64_t>(body), offset, length, done = std::move(done)]() mutable {
    done(ReadLocated(id, offset, length));
  });
}

}  // namespace restante::embedded
