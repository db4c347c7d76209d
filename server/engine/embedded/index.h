// The index: LevelDB, which can be lost and is made again from the log.
//
// Groups are applied in order, and each batch of them says where the log goes on
// behind it. They are in LevelDB's memory until that becomes a table, durably and as a
// whole, when it is full or told to (WriteCheckpoint). So what is found after a crash
// are all groups up to one, and it is known which. LevelDB's own log is not kept.
//
// Threads: one at a time; what says so, and a snapshot, is for any.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "restante/stored/v1/stored.pb.h"
#include "server/engine/embedded/files.h"
#include "server/engine/embedded/receipt_filter.h"
#include "server/engine/embedded/written_sizes.h"

namespace leveldb {
class Cache;
class DB;
class Env;
class FilterPolicy;
class Logger;
class Snapshot;
}  // namespace leveldb

namespace restante::embedded {

namespace stored = ::restante::stored::v1;

class IndexDb;

// The index at one moment: with all groups up to `group` and none later. Holds
// the database open.
class IndexSnapshot {
 public:
  IndexSnapshot(std::shared_ptr<IndexDb> db, uint64_t group);
  ~IndexSnapshot();

  uint64_t group() const { return group_; }
  // With its group in front (SplitGroup); nullopt where there is none.
  absl::StatusOr<std::optional<std::string>> Get(absl::string_view key) const;
  // Keys in [from, to) (an empty `to`: the end), ascending, until `visit` returns
  // false.
  using Visitor = std::function<bool(absl::string_view key, absl::string_view value)>;
  absl::Status Visit(absl::string_view from, absl::string_view to, const Visitor& visit) const;
  // Completes `filter`, unless `go_on()` is false on the way (kCancelled). Takes long.
  absl::Status FindReceipts(ReceiptFilter* filter, const std::function<bool()>& go_on) const;
  // Has LevelDB drop what was overwritten and erased by now, piece by piece, while
  // others read and write, unless `go_on()` is false on the way (kCancelled). Takes long. Any
  // other error: LevelDB takes no writes any more, and whoever writes is told so, too.
  absl::Status CompactIndex(const std::function<bool()>& go_on) const;

 private:
  const std::shared_ptr<IndexDb> db_;
  const leveldb::Snapshot* const snapshot_;
  const uint64_t group_;
};

class Index {
 public:
  // Octets that are collected in memory before they become a table.
  static constexpr size_t kSmallestBuffer = size_t{64} << 10;
  static constexpr size_t kLargestBuffer = size_t{8} << 20;

  Index(Files* files, std::string path, size_t buffer = kLargestBuffer);
  ~Index();

  // Opens it. kNotFound: there is none (with `create`, an empty one is made
  // instead); kDataLoss: it is damaged, also when a batch before the checkpoint
  // is missing, or when it was being made and that was not finished.
  absl::Status Open(bool create);
  // Waits until nobody has a snapshot any more.
  void Close();
  // What the disk refused first since it was opened.
  absl::Status first_failure() const;

  // Of what was applied; as long as there is none, all zero.
  absl::StatusOr<stored::Checkpoint> ReadCheckpoint() const;
  // The last group of which an older program left a batch; 0: none.
  absl::StatusOr<uint64_t> LastGroup() const;

  // One batch. `groups` ascend and follow what was applied (or repeat it); of each key
  // only the last change is written. `reached` is behind them; null: the index is being
  // made. Any error: the index has to be closed, opened and replayed.
  absl::Status Apply(const std::vector<const stored::Group*>& groups, const stored::Checkpoint* reached);
  // Everything applied is durable when it returns, and that `erased` is gone. With the
  // first one it becomes an index.
  absl::Status WriteCheckpoint(const stored::Checkpoint& checkpoint,
                               const std::vector<std::string>& erased = {});
  // Not logged, not synced.
  absl::Status PutUnlogged(absl::string_view key, absl::string_view value);
  absl::Status RemoveRange(absl::string_view from, absl::string_view to);

  std::shared_ptr<const IndexSnapshot> Snapshot(uint64_t group) const;

  // Has whatever is applied from the beginning on; somebody has to complete it. Any
  // thread.
  ReceiptFilter& receipts() { return receipts_; }

  // Forgets what was read of tables, so that it is read again. Any thread.
  void DropCache() const;
  // How far the files are written that are being written. Any thread.
  const WrittenSizes& written() const { return written_; }

 private:
  absl::Status CheckMarkers() const;

  Files* const files_;
  const std::string path_;
  const size_t buffer_;
  WrittenSizes written_;
  ReceiptFilter receipts_;
  std::unique_ptr<leveldb::Env> env_;  // Of what is open.
  const std::unique_ptr<leveldb::Logger> logger_;
  const std::unique_ptr<const leveldb::FilterPolicy> filter_;
  const std::unique_ptr<leveldb::Cache> cache_;
  std::shared_ptr<IndexDb> db_;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_H_
