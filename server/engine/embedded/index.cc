#include "server/engine/embedded/index.h"

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/leveldb_env.h"

namespace restante::embedded {
namespace {

constexpr size_t kBlockCache = size_t{16} << 20;
constexpr int kOpenFiles = 256;
constexpr int kBloomBits = 10;
// A piece of the index; what is applied meanwhile waits for it, some tenths of a second.
constexpr size_t kCompactedAtOnce = size_t{16} << 20;

leveldb::Slice ToSlice(absl::string_view octets) { return {octets.data(), octets.size()}; }
absl::string_view ToView(const leveldb::Slice& slice) { return {slice.data(), slice.size()}; }

void PutCheckpoint(stored::Checkpoint checkpoint, leveldb::WriteBatch& batch) {
  // There are no markers that an older program would have to check.
  checkpoint.set_previous_group(checkpoint.group());
  batch.Put(ToSlice(kCheckpointKey), checkpoint.SerializeAsString());
}

}  // namespace

// An open database, and who has snapshots of it.
class IndexDb {
 public:
  explicit IndexDb(std::unique_ptr<leveldb::DB> db) : db_(std::move(db)) {}

  leveldb::DB* get() const { return db_.get(); }

  // Held by who writes, and by who has a range compacted. LevelDB 1.23 goes through a null
  // pointer when its memory cannot become a table in the middle of such a compaction.
  absl::Mutex& changes() { return changes_; }

  const leveldb::Snapshot* Take() {
    absl::MutexLock lock(&mutex_);
    ++snapshots_;
    return db_->GetSnapshot();
  }
  void Return(const leveldb::Snapshot* snapshot) {
    absl::MutexLock lock(&mutex_);
    db_->ReleaseSnapshot(snapshot);
    --snapshots_;
  }
  // Closes the database when the last snapshot was returned.
  void Close() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](IndexDb* self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(self->mutex_) { return self->snapshots_ == 0; },
        this));
    db_.reset();
  }

 private:
  absl::Mutex changes_;
  absl::Mutex mutex_;
  int snapshots_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<leveldb::DB> db_;
};

IndexSnapshot::IndexSnapshot(std::shared_ptr<IndexDb> db, uint64_t group)
    : db_(std::move(db)), snapshot_(db_->Take()), group_(group) {}

IndexSnapshot::~IndexSnapshot() { db_->Return(snapshot_); }

absl::StatusOr<std::optional<std::string>> IndexSnapshot::Get(absl::string_view key) const {
  leveldb::ReadOptions options;
  options.snapshot = snapshot_;
  std::string value;
  const leveldb::Status status = db_->get()->Get(options, ToSlice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return Annotate(FromLevelDb(status), "index");
  return value;
}

absl::Status IndexSnapshot::Visit(absl::string_view from, absl::string_view to, const Visitor& visit) const {
  leveldb::ReadOptions options;
  options.snapshot = snapshot_;
  const std::unique_ptr<leveldb::Iterator> iterator(db_->get()->NewIterator(options));
  for (iterator->Seek(ToSlice(from)); iterator->Valid(); iterator->Next()) {
    const absl::string_view key = ToView(iterator->key());
    if (!to.empty() && key >= to) break;
    if (!visit(key, ToView(iterator->value()))) break;
  }
  return Annotate(FromLevelDb(iterator->status()), "index");
}

absl::Status IndexSnapshot::FindReceipts(ReceiptFilter* filter, const std::function<bool()>& go_on) const {
  bool all = true;
  RETURN_IF_ERROR(Visit("r", AfterPrefix("r"), [&](absl::string_view key, absl::string_view) {
    filter->Add(key);
    return all = go_on();
  }));
  leveldb::ReadOptions options;
  options.snapshot = snapshot_;
  options.fill_cache = false;
  const std::unique_ptr<leveldb::Iterator> iterator(db_->get()->NewIterator(options));
  const auto seek = [&iterator](uint64_t mailbox) {
    iterator->Seek(PartitionKey(engine::PartitionId::Mailbox(mailbox), engine::kOpenReceiptsFrom));
  };
  for (seek(0); all && iterator->Valid(); all = go_on()) {
    const absl::string_view key = ToView(iterator->key());
    if (key[0] != 'k') break;  // Mailboxes are the last partitions.
    if (IsOpenReceiptKey(key)) {
      filter->Add(key);
      iterator->Next();
      continue;
    }
    // Its messages, which stand behind them.
    seek(PartitionOfHeadKey(key).number + 1);
  }
  RETURN_IF_ERROR(Annotate(FromLevelDb(iterator->status()), "index"));
  if (!all) return absl::CancelledError("the store is being closed");
  filter->SetComplete();
  return absl::OkStatus();
}

absl::Status IndexSnapshot::CompactIndex(const std::function<bool()>& go_on) const {
  std::string from;
  for (bool last = false; !last;) {
    if (!go_on()) return absl::CancelledError("the store is being closed");
    std::string to;
    size_t octets = 0;
    const absl::Status read = Visit(from, "", [&](absl::string_view key, absl::string_view value) {
      octets += key.size() + value.size();
      if (octets >= kCompactedAtOnce && key > from) to = std::string(key);
      return to.empty();
    });
    // Damage is for LevelDB to meet: it takes no writes then, and that is noticed.
    if (!read.ok() && !absl::IsDataLoss(read)) return read;
    last = to.empty();
    const leveldb::Slice begin = from, end = to;
    absl::MutexLock lock(&db_->changes());
    db_->get()->CompactRange(from.empty() ? nullptr : &begin, last ? nullptr : &end);
    // If that failed, every later write says why.
    leveldb::WriteBatch nothing;
    RETURN_IF_ERROR(FromLevelDb(db_->get()->Write(leveldb::WriteOptions(), &nothing)));
    from = std::move(to);
  }
  return absl::OkStatus();
}

Index::Index(Files* files, std::string path, size_t buffer)
    : files_(files),
      path_(std::move(path)),
      buffer_(buffer),
      logger_(NewSilentLogger()),
      filter_(leveldb::NewBloomFilterPolicy(kBloomBits)),
      cache_(leveldb::NewLRUCache(kBlockCache)) {}

Index::~Index() { Close(); }

absl::Status Index::Open(bool create) {
  env_ = NewLevelDbEnv(files_, &written_);
  leveldb::Options options;
  options.create_if_missing = create;
  options.env = env_.get();
  options.info_log = logger_.get();
  // Small files: the index grows smoothly, and a compaction needs little room.
  options.write_buffer_size = buffer_;
  options.max_file_size = buffer_ / 4;  // (LevelDB makes it 1 MiB at least.)
  options.max_open_files = kOpenFiles;
  options.block_cache = cache_.get();
  options.filter_policy = filter_.get();
  // Mail addresses and envelopes: blocks compress well, and the index stays small.
  options.compression = leveldb::kSnappyCompression;
  if (!create && !env_->FileExists(JoinPath(path_, "CURRENT"))) {
    return absl::NotFoundError(absl::StrCat(path_, ": no index"));
  }
  leveldb::DB* db = nullptr;
  if (const leveldb::Status status = leveldb::DB::Open(options, path_, &db); !status.ok()) {
    // What the disk said is more exact than what LevelDB made of it.
    RETURN_IF_ERROR(first_failure());
    if (status.IsIOError()) return absl::UnavailableError(absl::StrCat(path_, ": ", status.ToString()));
    return absl::DataLossError(absl::StrCat(path_, ": ", status.ToString()));
  }
  db_ = std::make_shared<IndexDb>(std::unique_ptr<leveldb::DB>(db));
  ASSIGN_OR_RETURN(const std::optional<std::string> checkpoint, Snapshot(0)->Get(kCheckpointKey));
  if (!checkpoint && !create) {
    return absl::DataLossError(absl::StrCat(path_, ": was being made and is not finished"));
  }
  return CheckMarkers();
}

absl::Status Index::first_failure() const { return FirstFailureOf(*env_); }

void Index::Close() {
  if (!db_) return;
  db_->Close();
  db_.reset();
}

absl::StatusOr<stored::Checkpoint> Index::ReadCheckpoint() const {
  stored::Checkpoint checkpoint;
  ASSIGN_OR_RETURN(const std::optional<std::string> value, Snapshot(0)->Get(kCheckpointKey));
  if (value && !checkpoint.ParseFromString(*value)) {
    return absl::DataLossError(absl::StrCat(path_, ": damaged checkpoint"));
  }
  return checkpoint;
}

absl::StatusOr<uint64_t> Index::LastGroup() const {
  uint64_t last = 0;
  RETURN_IF_ERROR(Snapshot(0)->Visit("g", "h", [&](absl::string_view key, absl::string_view) {
    last = NumberOfKey(key);
    return true;
  }));
  return last;
}

absl::Status Index::CheckMarkers() const {
  ASSIGN_OR_RETURN(const stored::Checkpoint checkpoint, ReadCheckpoint());
  // An older program kept LevelDB's log, which skips a damaged record without a word:
  // its batches between the last two checkpoints must link up. Later ones are replayed.
  uint64_t reached = checkpoint.previous_group();
  absl::Status status = Snapshot(0)->Visit("g", "h", [&](absl::string_view key, absl::string_view value) {
    const uint64_t last = NumberOfKey(key);
    if (last > checkpoint.group()) return false;
    if (last <= reached) return true;
    if (value.size() != 8 || GetOrdered64(value, 0) > reached) return false;
    reached = last;
    return true;
  });
  RETURN_IF_ERROR(status);
  if (reached < checkpoint.group()) {
    return absl::DataLossError(absl::StrCat(path_, ": index damaged: changes after group ", reached,
                                            " are missing, the checkpoint says ", checkpoint.group()));
  }
  return absl::OkStatus();
}

absl::Status Index::Apply(const std::vector<const stored::Group*>& groups,
                          const stored::Checkpoint* reached) {
  if (groups.empty()) return absl::OkStatus();
  leveldb::WriteBatch batch;
  // From the last change of each key to the first.
  absl::flat_hash_set<absl::string_view> done;
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
    for (const stored::Put& put : (*group)->puts()) {
      if (!done.insert(put.key()).second) continue;
      receipts_.Add(put.key());
      batch.Put(put.key(), WithGroup((*group)->number(), put.value()));
    }
    for (const std::string& key : (*group)->erased()) {
      if (done.insert(key).second && receipts_.MayHave(key)) batch.Delete(key);
    }
  }
  if (reached != nullptr) PutCheckpoint(*reached, batch);
  absl::MutexLock lock(&db_->changes());
  return FromLevelDb(db_->get()->Write(leveldb::WriteOptions(), &batch));
}

absl::Status Index::WriteCheckpoint(const stored::Checkpoint& checkpoint,
                                    const std::vector<std::string>& erased) {
  leveldb::WriteBatch batch;
  PutCheckpoint(checkpoint, batch);
  for (const std::string& key : erased) batch.Delete(key);
  const absl::Status visited = Snapshot(0)->Visit("g", MarkerKey(checkpoint.group() + 1),
                                                  [&](absl::string_view key, absl::string_view) {
                                                    batch.Delete(ToSlice(key));
                                                    return true;
                                                  });
  // Old markers that cannot be read may stay.
  if (!visited.ok() && !absl::IsDataLoss(visited)) return visited;
  absl::MutexLock lock(&db_->changes());
  RETURN_IF_ERROR(FromLevelDb(db_->get()->Write(leveldb::WriteOptions(), &batch)));
  // Memory becomes a table when a range is compacted, also if no table has anything of it.
  const leveldb::Slice behind_all = "\xff";
  db_->get()->CompactRange(&behind_all, &behind_all);
  // If it did not, every later write says why.
  leveldb::WriteBatch nothing;
  RETURN_IF_ERROR(FromLevelDb(db_->get()->Write(leveldb::WriteOptions(), &nothing)));
  return first_failure();
}

absl::Status Index::PutUnlogged(absl::string_view key, absl::string_view value) {
  absl::MutexLock lock(&db_->changes());
  return FromLevelDb(db_->get()->Put(leveldb::WriteOptions(), ToSlice(key), ToSlice(value)));
}

absl::Status Index::RemoveRange(absl::string_view from, absl::string_view to) {
  constexpr int kBatch = 10'000;
  bool more = true;
  while (more) {
    leveldb::WriteBatch batch;
    int count = 0;
    const absl::Status visited = Snapshot(0)->Visit(from, to, [&](absl::string_view key, absl::string_view) {
      batch.Delete(ToSlice(key));
      return ++count < kBatch;
    });
    // What cannot be read stays.
    if (!visited.ok() && !absl::IsDataLoss(visited)) return visited;
    more = count == kBatch;
    if (count == 0) break;
    absl::MutexLock lock(&db_->changes());
    RETURN_IF_ERROR(FromLevelDb(db_->get()->Write(leveldb::WriteOptions(), &batch)));
  }
  return absl::OkStatus();
}

void Index::DropCache() const { cache_->Prune(); }

std::shared_ptr<const IndexSnapshot> Index::Snapshot(uint64_t group) const {
  return std::make_shared<IndexSnapshot>(db_, group);
}

}  // namespace restante::embedded
