#include "server/engine/moving/copier.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/status_macros.h"
#include "server/engine/moving/asking.h"
#include "server/engine/moving/key_walk.h"
#include "server/engine/moving/parallel.h"

namespace restante::moving {
namespace {

// What is written in one step.
constexpr size_t kKeysAtOnce = 256;
constexpr uint64_t kBytesAtOnce = uint64_t{4} << 20;
constexpr uint64_t kPiece = uint64_t{1} << 20;
constexpr size_t kKnownBodies = 1'000'000;
constexpr int kAttempts = 10;
constexpr int kBodiesAtOnce = 8;

std::string NameOf(PartitionId partition, uint64_t uid) {
  return absl::StrCat("mailbox partition ", partition.number, ", UID ", uid);
}

}  // namespace

// What is to be changed in a partition of `to` in the next step.
struct Copier::Batch {
  Batch(PartitionId of, const stored::Head& with) : partition(of) { Begin(with); }

  void Begin(const stored::Head& head) {
    change = {};
    change.head = head;
    // What it crossed was recorded where it was crossed.
    change.unmeasured = true;
    bytes = 0;
    shared.clear();
    bodies.clear();
    sources.clear();
  }

  const PartitionId partition;
  engine::Change change;
  // Keys and entries whose bodies have to come along; of so many bytes.
  std::vector<std::pair<std::string, stored::Entry>> wanted;
  uint64_t bytes = 0;
  // Bodies of `from` that are shared with what is there.
  std::vector<uint64_t> shared;

  std::vector<std::unique_ptr<engine::StagedBody>> bodies;
  // Where they come from.
  std::vector<uint64_t> sources;
  // kNotFound: a text was not there any more, and its entry was left out.
  absl::Status gone;

  size_t keys() const { return change.puts.size() + change.erased.size() + wanted.size(); }
};

// --- bodies --------------------------------------------------------------------------

std::optional<BodyId> Copier::Known(uint64_t body) {
  absl::MutexLock lock(&mutex_);
  const auto it = known_.find(body);
  return it == known_.end() ? std::nullopt : std::make_optional(it->second);
}

void Copier::Know(uint64_t body, BodyId copy) {
  absl::MutexLock lock(&mutex_);
  if (known_.insert_or_assign(body, copy).second) known_order_.push_back(body);
  while (known_.size() > kKnownBodies) {
    known_.erase(known_order_.front());
    known_order_.pop_front();
  }
}

void Copier::Forget(uint64_t body) {
  absl::MutexLock lock(&mutex_);
  known_.erase(body);
}

absl::StatusOr<std::unique_ptr<engine::StagedBody>> Copier::CopyBody(const stored::Entry& entry) {
  const std::unique_ptr<engine::BodyWriter> writer = to_->NewBody(entry.size());
  for (uint64_t at = 0; at < entry.size();) {
    ASSIGN_OR_RETURN(std::string octets, ReadBody(from_, BodyId{entry.body()}, at, kPiece));
    if (octets.empty()) break;
    at += octets.size();
    RETURN_IF_ERROR(
        Ask<absl::Status>([&](auto done) { writer->Append(std::move(octets), std::move(done)); }));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<engine::StagedBody> body,
                   Ask<absl::StatusOr<std::unique_ptr<engine::StagedBody>>>(
                       [&](auto done) { writer->Finish(std::move(done)); }));
  if (body->size() != entry.size() || body->crc32c() != entry.crc32c()) {
    return absl::DataLossError(absl::StrCat(
        "the text is of ", body->size(), " bytes with checksum ", absl::Hex(body->crc32c(), absl::kZeroPad8),
        ", its entry says ", entry.size(), " and ", absl::Hex(entry.crc32c(), absl::kZeroPad8)));
  }
  ++bodies_;
  return body;
}

// --- partitions ----------------------------------------------------------------------

absl::Status Copier::AddEntry(Batch& batch, const std::string& key, const std::string& value,
                              const std::string* there) {
  stored::Entry entry, copy;
  if (!entry.ParseFromString(value) || (there != nullptr && !copy.ParseFromString(*there))) {
    return absl::DataLossError(absl::StrCat("mailbox partition ", batch.partition.number,
                                            ": a damaged entry; its message cannot be moved"));
  }
  if (there != nullptr) {
    // A UID is never given again: it is the same message, whatever its flags are now.
    if (copy.size() != entry.size() || copy.crc32c() != entry.crc32c()) {
      return absl::DataLossError(absl::StrCat(NameOf(batch.partition, entry.uid()),
                                              ": is another message in the store that is moved to"));
    }
    entry.set_body(copy.body());
    std::string now = entry.SerializeAsString();
    if (now != *there) batch.change.puts.emplace_back(key, std::move(now));
  } else if (const std::optional<BodyId> body = Known(entry.body())) {
    batch.shared.push_back(entry.body());
    batch.change.added_bodies.push_back(*body);
    entry.set_body(static_cast<uint64_t>(*body));
    batch.change.puts.emplace_back(key, entry.SerializeAsString());
  } else {
    batch.wanted.emplace_back(key, entry);
    batch.bytes += entry.size();
  }
  passed_octets_ += entry.size();
  return absl::OkStatus();
}

absl::Status Copier::BringBodies(Batch& batch) {
  RETURN_IF_ERROR(AwaitRoom(batch.bytes));
  // Each once, however many entries name it.
  absl::flat_hash_map<uint64_t, size_t> places;
  std::vector<const stored::Entry*> named;
  for (const auto& [key, entry] : batch.wanted) {
    if (places.emplace(entry.body(), named.size()).second) named.push_back(&entry);
  }
  std::vector<std::unique_ptr<engine::StagedBody>> bodies(named.size());
  RETURN_IF_ERROR(ForEach(named.size(), kBodiesAtOnce, [&](size_t i) -> absl::Status {
    absl::StatusOr<std::unique_ptr<engine::StagedBody>> body = CopyBody(*named[i]);
    if (body.ok()) bodies[i] = *std::move(body);
    if (body.ok() || absl::IsNotFound(body.status())) return absl::OkStatus();
    return Annotate(body.status(), NameOf(batch.partition, named[i]->uid()));
  }));
  for (auto& [key, entry] : batch.wanted) {
    const size_t place = places[entry.body()];
    if (bodies[place] == nullptr) {
      // Expunged since it was listed? The next look at the mailbox tells.
      batch.gone =
          absl::NotFoundError(absl::StrCat(NameOf(batch.partition, entry.uid()), ": its text is gone"));
      continue;
    }
    const BodyId body = bodies[place]->id();
    entry.set_body(static_cast<uint64_t>(body));
    batch.change.added_bodies.push_back(body);
    batch.change.puts.emplace_back(std::move(key), entry.SerializeAsString());
  }
  for (const auto& [source, place] : places) {
    if (bodies[place] == nullptr) continue;
    batch.sources.push_back(source);
    batch.bodies.push_back(std::move(bodies[place]));
  }
  batch.wanted.clear();
  return absl::OkStatus();
}

absl::Status Copier::AwaitRoom(uint64_t bytes) {
  for (int times = 0;; ++times) {
    const engine::Capacity capacity = to_->GetCapacity();
    if (!capacity.read_only && !capacity.full && capacity.available >= bytes) return absl::OkStatus();
    if (!capacity.read_only) {
      return absl::ResourceExhaustedError(absl::StrCat("the store that is moved to is full: needs ", bytes,
                                                       " bytes for the next messages, ", capacity.available,
                                                       " left of ", capacity.limit));
    }
    if (times == 60) return absl::UnavailableError("the store that is moved to takes no changes");
    absl::SleepFor(absl::Seconds(1));
  }
}

absl::Status Copier::Write(Batch& batch) {
  if (!batch.wanted.empty()) RETURN_IF_ERROR(BringBodies(batch));
  std::vector<std::pair<uint64_t, BodyId>> brought;
  for (size_t i = 0; i < batch.bodies.size(); ++i) {
    brought.emplace_back(batch.sources[i], batch.bodies[i]->id());
  }
  const engine::Change change = std::move(batch.change);
  const absl::Status written = Ask<absl::Status>([&](auto done) {
    to_->UpdateWith(
        std::move(batch.bodies), batch.partition, {},
        [&change](const engine::View&) -> absl::StatusOr<engine::Verdict> { return change; },
        std::move(done));
  });
  if (!written.ok()) {
    for (const uint64_t body : batch.shared) Forget(body);
    return written;
  }
  for (const auto& [from, to] : brought) Know(from, to);
  batch.Begin(change.head);
  wrote_();
  return absl::OkStatus();
}

absl::Status Copier::CopyOnce(PartitionId partition, const stored::Head& head, uint64_t until_uid) {
  ASSIGN_OR_RETURN(const engine::ReadResult there, Read(to_, partition));
  Batch batch(partition, head);
  const bool mailbox = partition.kind == PartitionId::Kind::kMailbox;
  const absl::Status walked = WalkKeys(
      from_, to_, partition, until_uid,
      [&](const std::string& key, const std::string* value, const std::string* copy) -> absl::Status {
        const bool is_entry = mailbox && engine::EntryUid(key).has_value();
        if (value == nullptr) {
          stored::Entry entry;
          if (is_entry && entry.ParseFromString(*copy)) {
            batch.change.released_bodies.push_back(BodyId{entry.body()});
          }
          batch.change.erased.push_back(key);
        } else if (is_entry) {
          RETURN_IF_ERROR(AddEntry(batch, key, *value, copy));
        } else if (copy == nullptr || *copy != *value) {
          batch.change.puts.emplace_back(key, *value);
        }
        if (batch.keys() < kKeysAtOnce && batch.bytes < kBytesAtOnce) return absl::OkStatus();
        return Write(batch);
      });
  if (!walked.ok()) return walked;
  const bool same_head = there.head && there.head->SerializeAsString() == head.SerializeAsString();
  if (batch.keys() > 0 || !same_head) RETURN_IF_ERROR(Write(batch));
  return batch.gone;
}

absl::Status Copier::Erase(PartitionId partition) {
  ASSIGN_OR_RETURN(const engine::ReadResult there, Read(to_, partition));
  if (!there.head) return absl::OkStatus();
  Batch batch(partition, *there.head);
  KeyReader keys(to_, partition);
  while (partition.kind == PartitionId::Kind::kMailbox) {
    ASSIGN_OR_RETURN(const auto* item, keys.Peek());
    stored::Entry entry;
    if (item != nullptr && engine::EntryUid(item->first) && entry.ParseFromString(item->second)) {
      batch.change.released_bodies.push_back(BodyId{entry.body()});
      batch.change.erased.push_back(item->first);
    }
    if (batch.keys() >= kKeysAtOnce || (item == nullptr && batch.keys() > 0)) RETURN_IF_ERROR(Write(batch));
    if (item == nullptr) break;
    keys.Take();
  }
  batch.change.erase_partition = true;
  return Write(batch);
}

absl::Status Copier::Copy(PartitionId partition) {
  // What comes from here on is another change. A mailbox that fills faster than it is copied
  // would have no end.
  std::optional<uint64_t> until_uid;
  for (int times = 1;; ++times) {
    ASSIGN_OR_RETURN(const engine::ReadResult read, Read(from_, partition));
    if (!until_uid && read.head) {
      const uint64_t next = read.head->mailbox().uid_next();
      until_uid = partition.kind == PartitionId::Kind::kMailbox && next > 0 ? next : UINT64_MAX;
    }
    const absl::Status copied = read.head ? CopyOnce(partition, *read.head, *until_uid) : Erase(partition);
    // A body went while it was copied, here or there.
    if (!absl::IsNotFound(copied) || times == kAttempts) return copied;
  }
}

}  // namespace restante::moving
