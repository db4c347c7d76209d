// Emptying a segment: what lives in it is carried to the log's end, a piece with each
// group; then it is removed. On the compaction thread. FORMAT.md, "Compaction".
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/record.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

// What one group gets of it: deliveries in that group wait for it, too.
constexpr size_t kPieceKeys = 1000;
constexpr uint64_t kPieceBytes = uint64_t{1} << 20;

}  // namespace

// What is carried with one group.
struct EmbeddedEngine::Piece {
  struct Key {
    std::string key;
    uint64_t group = 0;  // Which put it; 0: it was erased.
  };
  std::vector<Key> keys;
  std::vector<uint64_t> bodies;  // That were put into the segment.
  uint64_t bytes = 0;            // Of these.

  bool empty() const { return keys.empty() && bodies.empty(); }
  bool full() const { return keys.size() >= kPieceKeys || bytes >= kPieceBytes; }
};

absl::Status EmbeddedEngine::LeaveNewestSegment() {
  absl::Notification durable;
  absl::Status status;
  uint64_t newest = 0;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Writable());
    newest = log_end_.segment;
    roll_ = true;
    WhenDurable(gathered_.number, [&](const absl::Status& written) {
      status = written;
      durable.Notify();
    });
  }
  durable.WaitForNotification();
  RETURN_IF_ERROR(status);
  absl::MutexLock lock(&mutex_);
  if (log_end_.segment > newest) return absl::OkStatus();
  return absl::ResourceExhaustedError("there is no room for another segment");
}

absl::Status EmbeddedEngine::EmptySegment(uint64_t segment, bool paced, uint64_t* carried) {
  ASSIGN_OR_RETURN(const SegmentInfo info,
                   ReadSegmentInfo(*files_, directory_.segments(), segment, directory_.store()));
  uint64_t end = 0;
  bool oldest = true;
  {
    absl::MutexLock lock(&mutex_);
    keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string* value) {
      stored::SegmentFigures figures;
      if (value == nullptr || !figures.ParseFromString(*value)) return true;
      if (NumberOfKey(key) < segment) oldest = false;
      if (NumberOfKey(key) == segment) end = figures.end();
      return NumberOfKey(key) < segment;
    });
  }
  const std::string path = JoinPath(directory_.segments(), SegmentName(segment));
  ASSIGN_OR_RETURN(const std::shared_ptr<const File> bodies, open_files_.Get(path));
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, files_->Open(path, Files::Mode::kRead));
  SegmentReader reader(std::move(file), kSegmentRecordBytes, end, info.first_group, directory_.store());
  reader.set_verify_bodies(false);
  reader.set_accept_damaged_bodies(true);
  const uint64_t bucket = ReceiptBucket();
  Piece piece;
  bool more = true;
  while (more) {
    absl::StatusOr<stored::Group> group = reader.Next();
    more = group.ok();
    if (!more && !absl::IsOutOfRange(group.status())) return Annotate(group.status(), path);
    if (more) {
      for (const stored::Put& put : group->puts()) {
        const char kind = put.key().empty() ? '\0' : put.key()[0];
        // (Nobody asks for old receipts.)
        if (kind == 'r' && NumberOfKey(put.key()) + 1 < bucket) continue;
        if (put.key() == SegmentKey(segment)) continue;
        piece.keys.push_back({put.key(), group->number()});
        stored::BodyLocation location;
        if (kind == 'b' && location.ParseFromString(put.value()) && !location.own_file() &&
            location.file() == segment) {
          piece.bodies.push_back(NumberOfKey(put.key()));
          piece.bytes += location.stored_bytes();
        }
      }
      if (!oldest) {
        for (const std::string& key : group->erased()) piece.keys.push_back({key, 0});
      }
    }
    if (piece.full() || (!more && !piece.empty())) {
      uint64_t bytes = 0;
      RETURN_IF_ERROR(Carry(segment, *bodies, piece, &bytes));
      *carried += bytes;
      compacted_bytes_ += bytes;
      piece = Piece();
      if (paced) RETURN_IF_ERROR(Breathe(bytes));
    }
  }
  return absl::OkStatus();
}

absl::Status EmbeddedEngine::Breathe(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  // While mail is refused for want of room, nothing is gained by sparing the disk.
  if (ledger_.capacity().full) return absl::OkStatus();
  const absl::Duration pause =
      absl::Seconds(static_cast<double>(bytes) / static_cast<double>(options_.compaction_bytes_per_second));
  if (stop_.AwaitFor(&mutex_, pause, [this] { return stopping_; })) {
    return absl::CancelledError("the store is being closed");
  }
  return absl::OkStatus();
}

// Logs again what of `piece` is still so: keys whose version is the one in the
// segment, and bodies that still lie there.
absl::Status EmbeddedEngine::Carry(uint64_t segment, const File& file, const Piece& piece, uint64_t* bytes) {
  SnapshotPtr snapshot;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Writable());
    snapshot = BeginFetch();
    if (!snapshot) return absl::UnavailableError("the index is being opened again");
  }
  absl::Cleanup end_fetch = [&] {
    {
      absl::MutexLock lock(&mutex_);
      EndFetch(snapshot->group());
    }
    snapshot.reset();  // Outside the lock.
  };
  // As of the snapshot; what is newer is in keys_.
  absl::flat_hash_map<std::string, std::optional<std::string>> fetched;
  const auto fetch = [&](const std::string& key) -> absl::Status {
    if (fetched.contains(key)) return absl::OkStatus();
    ASSIGN_OR_RETURN(std::optional<std::string> value, snapshot->Get(key));
    fetched[key] = std::move(value);
    return absl::OkStatus();
  };
  for (const Piece::Key& key : piece.keys) RETURN_IF_ERROR(fetch(key.key));
  for (const uint64_t body : piece.bodies) RETURN_IF_ERROR(fetch(BodyKey(body)));

  struct Version {
    std::optional<std::string> value;
    uint64_t group = 0;
  };
  const auto newest = [&](const std::string& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const KeyTable::Found found = keys_.Newest(key);
    if (found.known) {
      return found.value == nullptr ? Version{} : Version{.value = *found.value, .group = found.group};
    }
    const std::optional<std::string>& value = fetched.at(key);
    const std::optional<GroupedValue> split = value ? SplitGroup(*value) : std::nullopt;
    return split ? Version{.value = std::string(split->value), .group = split->group} : Version{};
  };
  const auto lies_here = [&](uint64_t body, stored::BodyLocation* location)
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                               const Version version = newest(BodyKey(body));
                               return version.value && location->ParseFromString(*version.value) &&
                                      !location->own_file() && location->file() == segment;
                             };

  // Read first what seems to live, without the lock.
  std::vector<std::pair<uint64_t, stored::BodyLocation>> living;
  {
    absl::MutexLock lock(&mutex_);
    for (const uint64_t body : piece.bodies) {
      stored::BodyLocation location;
      if (lies_here(body, &location)) living.emplace_back(body, std::move(location));
    }
  }
  absl::Status damaged;
  std::vector<std::unique_ptr<Staged>> records;
  for (const auto& [body, location] : living) {
    absl::StatusOr<std::unique_ptr<Staged>> record = ReadRecord(file, body, location);
    // It stays where it is, and with it the segment; the others go.
    if (!record.ok()) {
      damaged.Update(Annotate(record.status(), absl::StrCat("body ", body, " at ", location.offset())));
      continue;
    }
    records.push_back(*std::move(record));
  }

  absl::Notification durable;
  absl::Status status;
  bool wait = false;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Writable());
    for (const Piece::Key& key : piece.keys) {
      const Version version = newest(key.key);
      if (version.group != key.group) continue;
      Set(key.key, version.value);
      *bytes += key.key.size() + (version.value ? version.value->size() : 0);
      wait = true;
    }
    for (std::unique_ptr<Staged>& record : records) {
      // Its new place is entered when the group is sealed, if it is held then.
      stored::BodyLocation location;
      if (!lies_here(record->number(), &location)) continue;
      Set(BodyKey(record->number()), location.SerializeAsString());
      *bytes += record->header.stored_bytes();
      gathered_.bodies.push_back(std::move(record));
      wait = true;
    }
    if (wait) {
      WhenDurable(gathered_.number, [&](const absl::Status& written) {
        status = written;
        durable.Notify();
      });
    }
  }
  std::move(end_fetch).Invoke();
  if (wait) durable.WaitForNotification();
  if (!status.ok()) return absl::UnavailableError(status.message());
  return damaged;
}

// The record as it is, every octet verified.
absl::StatusOr<std::unique_ptr<Staged>> EmbeddedEngine::ReadRecord(
    const File& file, uint64_t body, const stored::BodyLocation& location) const {
  std::string octets(location.stored_bytes(), '\0');
  ASSIGN_OR_RETURN(const size_t read, file.ReadAt(location.offset(), octets.size(), octets.data()));
  octets.resize(read);
  auto record = std::make_unique<Staged>(bodies_);
  ASSIGN_OR_RETURN(record->header, DecodeHeader(octets, directory_.store()));
  if (record->header.kind != RecordKind::kBody || record->header.id != body) {
    return absl::DataLossError("another record is there");
  }
  record->encoded_header = octets.substr(0, kHeaderBytes);
  octets.erase(0, kHeaderBytes);
  RETURN_IF_ERROR(CheckPayload(record->header, octets));
  record->blocks.push_back(std::move(octets));
  return record;
}

// --- removing it --------------------------------------------------------------------

absl::Status EmbeddedEngine::DropSegment(uint64_t segment) {
  absl::Notification durable, checkpointed;
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Writable());
    stored::SegmentFigures figures;
    const KeyTable::Found found = keys_.Newest(SegmentKey(segment));
    if (found.value == nullptr || !figures.ParseFromString(*found.value)) {
      return absl::InternalError("it has no figures");
    }
    if (figures.live_bodies() != 0) {
      return absl::DataLossError(absl::StrCat(figures.live_bodies(), " bodies are still in it"));
    }
    Set(SegmentKey(segment), std::nullopt);
    WhenDurable(gathered_.number, [&](const absl::Status& written) {
      status = written;
      durable.Notify();
    });
  }
  durable.WaitForNotification();
  if (!status.ok()) return absl::UnavailableError(status.message());
  // All that was carried is durable in the log, so it is in the index thread's
  // queue, and the checkpoint comes after it: from then on neither recovery nor a
  // rebuilt index needs the segment.
  index_thread_->Checkpoint([&](absl::Status written) {
    status = std::move(written);
    checkpointed.Notify();
  });
  checkpointed.WaitForNotification();
  // (The file is then a leftover, which the next start removes.)
  RETURN_IF_ERROR(status);
  RemoveFile(JoinPath(directory_.segments(), SegmentName(segment)));
  live_key_bytes_.erase(segment);
  first_groups_.erase(segment);
  DiskMeasured();
  return absl::OkStatus();
}

void EmbeddedEngine::RemoveFile(const std::string& path) {
  open_files_.Forget(path);
  // What is left is removed by the next start: nothing names it any more.
  remover_.Remove(path);
}

}  // namespace restante::embedded
