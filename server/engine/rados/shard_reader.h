// Rows of a partition, read wherever they stand (shards.h): in its own object, else in the
// shard of their range. Values are given back as they were put.
//
// What is read of one page, or of one call of FindRows, was so at one moment: the object's
// rows and its list of shards are read in one operation, and shards never change. A shard
// that is not there any more was named by an old list; one that the list still names is
// lost.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_SHARD_READER_H_
#define RESTANTE_SERVER_ENGINE_RADOS_SHARD_READER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/task.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/shards.h"

namespace restante::rados {

// Rows at once, of any object.
inline constexpr uint64_t kRowsInPage = 1000;

// Some rows of one object in [from, to), and its attribute `shards`.
struct RowPage {
  bool exists = false;
  Shards shards;
  Rows rows;          // As they stand there, tombstones too.
  std::string until;  // There are no more below this.
};
// `seq`: kAborted unless that is the guard; empty: whatever it is.
Task<absl::StatusOr<RowPage>> ReadPage(Pool* pool, std::string object, std::string seq, std::string from,
                                       std::string to, uint64_t limit);

// The values of keys; null: there is no such key. `own` are those of these rows that the
// object has, read together with `shards`. kAborted: another list of shards is there by
// now. kDataLoss: a shard is lost.
Task<absl::Status> FindRows(Pool* pool, std::string object, Shards shards, std::vector<std::string> keys,
                            std::map<std::string, std::string> own,
                            std::map<std::string, std::optional<std::string>>* values);

// All rows in [from, to), ascending. One thread at a time.
class RowScan {
 public:
  RowScan(Pool* pool, std::string object, std::string from, std::string to, uint64_t limit = kRowsInPage)
      : pool_(pool), object_(std::move(object)), to_(std::move(to)), limit_(limit), at_(std::move(from)) {}
  // All of it as it was while this was the guard.
  RowScan& While(std::string seq) {
    seq_ = std::move(seq);
    return *this;
  }

  // Replaces `rows` by the next, also by none; false: that was all. kAborted: the guard is
  // another one. kDataLoss: a shard is lost.
  Task<absl::StatusOr<bool>> Next(Rows* rows);

 private:
  Pool* const pool_;
  const std::string object_, to_;
  const uint64_t limit_;
  std::string seq_;
  std::string at_;  // All before this was given.
  RowPage own_;     // Of the object, and how many of them were given.
  size_t used_ = 0;
};

// All of them. An object that is not there has none.
Task<absl::StatusOr<Rows>> AllRows(Pool* pool, std::string object, std::string prefix);

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_SHARD_READER_H_
