#include "server/engine/rados/shard_reader.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

// Shards that are read at once.
constexpr size_t kWidth = 8;

constexpr char kSeq[] = "seq";

std::string CommonPrefix(const std::string& a, const std::string& b) {
  return {a.begin(), std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first};
}

// What it means that a shard is not there.
Task<absl::Status> WhyMissing(Pool* pool, std::string object, stored::ShardRange shard) {
  ReadOp op = pool->NewRead();
  op.Xattrs();
  const ObjectRead read = co_await pool->Read(object, std::move(op));
  if (read.result < 0 && read.result != -ENOENT) co_return ToStatus(read.result, object);
  const Shards shards = ShardsIn(read).value_or(nullptr);
  const bool named =
      shards && std::any_of(shards->ranges().begin(), shards->ranges().end(), [&](auto& range) {
        return range.number() == shard.number() && range.piece() == shard.piece();
      });
  if (!named) co_return absl::AbortedError(absl::StrCat(object, ": other shards"));
  co_return absl::DataLossError(absl::StrCat("object `", ObjectOf(shard), "` is missing, with ", shard.rows(),
                                             " rows of `", object, "`"));
}

}  // namespace

Task<absl::StatusOr<RowPage>> ReadPage(Pool* pool, std::string object, std::string seq, std::string from,
                                       std::string to, uint64_t limit) {
  ReadOp op = pool->NewRead();
  if (!seq.empty()) op.CompareXattr(kSeq, seq);
  // Keys come after one that is told: `from` itself is asked for by name.
  op.Xattrs();
  if (!from.empty()) op.Omap({from});
  op.OmapAfter(from, CommonPrefix(from, to), limit);
  ObjectRead read = co_await pool->Read(object, std::move(op));
  RowPage page;
  page.until = to;
  if (read.result == -ENOENT) co_return page;
  if (read.result < 0) co_return ToStatus(read.result, object);
  page.exists = true;
  std::optional<Shards> shards = ShardsIn(read);
  if (!shards)
    co_return absl::DataLossError(absl::StrCat("object `", object, "`: its attributes are damaged"));
  page.shards = *std::move(shards);
  page.rows.assign(read.omap.begin(), read.omap.end());
  for (auto& row : read.rows) page.rows.push_back(std::move(row));
  if (read.more && !read.rows.empty()) page.until = std::min(to, After(page.rows.back().first));
  while (!page.rows.empty() && page.rows.back().first >= to) page.rows.pop_back();
  co_return page;
}

Task<absl::Status> FindRows(Pool* pool, std::string object, Shards shards, std::vector<std::string> keys,
                            std::map<std::string, std::string> own,
                            std::map<std::string, std::optional<std::string>>* values) {
  struct Asked {
    stored::ShardRange shard;
    std::vector<std::string> keys;
  };
  std::map<std::string, Asked> by_object;
  for (const std::string& key : keys) {
    if (const auto it = own.find(key); it != own.end()) {
      (*values)[key] = FromRow(key, it->second);
      continue;
    }
    (*values)[key] = std::nullopt;
    if (!shards || !Spills(key)) continue;
    const Range range = RangeOf(shards, key);
    if (range.shard == nullptr) continue;
    Asked& asked = by_object[ObjectOf(*range.shard)];
    asked.shard = *range.shard;
    asked.keys.push_back(key);
  }
  std::vector<Asked> all;
  for (auto& [name, asked] : by_object) all.push_back(std::move(asked));
  std::function<Task<ObjectRead>(size_t)> read = [pool, &all](size_t i) {
    return [](Pool* from, std::string name, ReadOp op) -> Task<ObjectRead> {
      ObjectRead done = co_await from->Read(name, std::move(op));
      co_return done;
    }(pool, ObjectOf(all[i].shard), std::move(pool->NewRead().Omap(all[i].keys)));
  };
  std::vector<ObjectRead> reads = co_await Gather<ObjectRead>(all.size(), kWidth, std::move(read));
  for (size_t i = 0; i < all.size(); ++i) {
    if (reads[i].result == -ENOENT) co_return co_await WhyMissing(pool, object, all[i].shard);
    if (reads[i].result < 0) co_return ToStatus(reads[i].result, ObjectOf(all[i].shard));
    for (auto& [key, row] : reads[i].omap) (*values)[key] = FromRow(key, std::move(row));
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<bool>> RowScan::Next(Rows* rows) {
  rows->clear();
  if (at_ >= to_) co_return false;
  if (at_ >= own_.until) {
    CO_ASSIGN_OR_RETURN(own_, co_await ReadPage(pool_, object_, seq_, at_, to_, limit_));
    used_ = 0;
    if (!own_.exists && !seq_.empty()) co_return absl::AbortedError(absl::StrCat(object_, ": is gone"));
    if (!own_.exists) co_return false;
  }
  const Range range = RangeOf(own_.shards, at_);
  RowPage in_shard;
  in_shard.until = std::min(range.to, own_.until);
  if (range.shard != nullptr) {
    const stored::ShardRange shard = *range.shard;
    CO_ASSIGN_OR_RETURN(in_shard, co_await ReadPage(pool_, ObjectOf(shard), "", at_, in_shard.until, limit_));
    if (!in_shard.exists) {
      const absl::Status why = co_await WhyMissing(pool_, object_, shard);
      if (!absl::IsAborted(why) || !seq_.empty()) co_return why;
      own_ = {};
      co_return true;
    }
  }
  size_t i = 0;
  const auto give = [rows](std::pair<std::string, std::string>& row) {
    std::optional<std::string> value = FromRow(row.first, std::move(row.second));
    if (value) rows->emplace_back(std::move(row.first), *std::move(value));
  };
  for (; used_ < own_.rows.size() && own_.rows[used_].first < in_shard.until; ++used_) {
    std::pair<std::string, std::string>& row = own_.rows[used_];
    for (; i < in_shard.rows.size() && in_shard.rows[i].first < row.first; ++i) give(in_shard.rows[i]);
    if (i < in_shard.rows.size() && in_shard.rows[i].first == row.first) ++i;
    give(row);
  }
  for (; i < in_shard.rows.size(); ++i) give(in_shard.rows[i]);
  at_ = in_shard.until;
  co_return true;
}

Task<absl::StatusOr<Rows>> AllRows(Pool* pool, std::string object, std::string prefix) {
  Rows rows, next;
  RowScan scan(pool, object, prefix, EndOf(prefix));
  while (true) {
    CO_ASSIGN_OR_RETURN(const bool more, co_await scan.Next(&next));
    if (!more) co_return rows;
    for (auto& row : next) rows.push_back(std::move(row));
  }
}

}  // namespace restante::rados
