#include "tests/cluster/shard_objects.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/match.h"
#include "server/engine/rados/shard_reader.h"
#include "tests/cluster/cluster_fixture.h"

namespace restante::rados {
namespace {

template <typename T>
T ValueOrDie(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::abort();
  }
  return *std::move(value);
}

ObjectRead AttributesOf(Pool* pool, const std::string& object) {
  const auto read = [](Pool* from, std::string name) -> Task<ObjectRead> {
    ReadOp op = from->NewRead();
    op.Xattrs();
    ObjectRead attributes = co_await from->Read(name, std::move(op));
    co_return attributes;
  };
  return Wait<ObjectRead>(read(pool, object));
}

Shards ShardsOf(Pool* pool, const std::string& object) {
  const std::optional<Shards> shards = ShardsIn(AttributesOf(pool, object));
  EXPECT_TRUE(shards.has_value()) << object;
  return shards.value_or(nullptr);
}

}  // namespace

ShardObjects::ShardObjects(const std::string& conf, const std::string& name_space)
    : cluster_(ValueOrDie(
          Cluster::Connect({.conf = conf, .user = "admin", .keyring = "", .name_space = name_space}))),
      index_(ValueOrDie(cluster_->OpenPool(cluster::kIndexPool))) {}

stored::ShardList ShardObjects::ListOf(PartitionId partition) {
  const Shards shards = ShardsOf(index_.get(), PartitionObject(partition));
  return shards ? *shards : stored::ShardList();
}

std::set<std::string> ShardObjects::NamedBy(PartitionId partition) {
  std::set<std::string> names;
  const stored::ShardList list = ListOf(partition);
  for (const stored::ShardRange& range : list.ranges()) {
    if (range.number() != 0) names.insert(ObjectOf(range));
  }
  return names;
}

uint64_t ShardObjects::OwnRows(PartitionId partition) {
  uint64_t rows = 0;
  for (const std::string prefix : {kReferencePrefix, kPortPrefix}) {
    std::string at = prefix;
    while (at < EndOf(prefix)) {
      RowPage page = ValueOrDie(Wait<absl::StatusOr<RowPage>>(
          ReadPage(index_.get(), PartitionObject(partition), "", at, EndOf(prefix), kRowsInPage)));
      rows += page.rows.size();
      at = std::move(page.until);
    }
  }
  return rows;
}

std::set<std::string> ShardObjects::All() {
  std::set<std::string> names;
  EXPECT_TRUE(index_
                  ->List([&](absl::string_view name) {
                    if (absl::StartsWith(name, kShardObjects)) names.emplace(name);
                  })
                  .ok());
  return names;
}

std::set<std::string> ShardObjects::Strays() {
  std::set<std::string> strays;
  for (const std::string& name : All()) {
    const ObjectRead read = AttributesOf(index_.get(), name);
    if (read.result == -ENOENT) continue;
    const auto home = read.xattrs.find(kHomeXattr);
    const auto shard = ShardOfObject(name);
    EXPECT_TRUE(home != read.xattrs.end() && shard) << name;
    if (home == read.xattrs.end() || !shard) continue;
    if (!IsNamed(ShardsOf(index_.get(), home->second), shard->first, shard->second)) strays.insert(name);
  }
  return strays;
}

void ShardObjects::Remove(const std::string& shard) {
  const auto remove = [](Pool* pool, std::string name) -> Task<int> {
    WriteOp op = pool->NewWrite();
    op.Remove();
    const int result = co_await pool->Write(name, std::move(op));
    co_return result;
  };
  EXPECT_EQ(Wait<int>(remove(index_.get(), shard)), 0) << shard;
}

}  // namespace restante::rados
