#include "server/engine/rados/shard_writer.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/shard_reader.h"

namespace restante::rados {
namespace {

// Octets in one write; an operation of 90 MiB would be refused.
constexpr size_t kOctetsAtOnce = size_t{4} << 20;

}  // namespace

Task<absl::StatusOr<stored::ShardRange>> WriteShard(Pool* pool, std::string home, uint64_t number,
                                                    uint32_t piece, Rows rows) {
  stored::ShardRange shard;
  shard.set_number(number);
  shard.set_piece(piece);
  const std::string object = ObjectOf(shard);
  size_t next = 0;
  do {
    WriteOp op = pool->NewWrite();
    if (next == 0) op.Create(/*exclusive=*/true).SetXattr(kHomeXattr, home);
    if (next > 0) op.AssertExists();
    Rows some;
    for (size_t octets = 0; next < rows.size() && some.size() < kRowsInPage && octets < kOctetsAtOnce;
         ++next) {
      std::string row = ToRow(rows[next].first, std::move(rows[next].second));
      octets += rows[next].first.size() + row.size();
      Count(rows[next].first, row, &shard);
      some.emplace_back(std::move(rows[next].first), std::move(row));
    }
    op.SetOmap(some);
    const int result = co_await pool->Write(object, std::move(op));
    if (result < 0) co_return ToStatus(result, object);
  } while (next < rows.size());
  CO_RETURN_IF_ERROR(co_await CheckShard(pool, shard));
  co_return shard;
}

Task<absl::Status> CheckShard(Pool* pool, stored::ShardRange shard) {
  const std::string object = ObjectOf(shard);
  stored::ShardRange counted;
  std::string at;
  const std::string end = EndOf("");
  while (at < end) {
    CO_ASSIGN_OR_RETURN(RowPage page, co_await ReadPage(pool, object, "", at, end, kRowsInPage));
    if (!page.exists) {
      co_return absl::DataLossError(
          absl::StrCat("object `", object, "` is missing, with ", shard.rows(), " rows"));
    }
    for (const auto& [key, row] : page.rows) Count(key, row, &counted);
    at = std::move(page.until);
  }
  const auto describe = [](const stored::ShardRange& sum) {
    return absl::StrCat(sum.rows(), " rows, ", sum.octets(), " octets, checksum ",
                        absl::Hex(sum.crc32c(), absl::kZeroPad8));
  };
  if (describe(counted) == describe(shard)) co_return absl::OkStatus();
  co_return absl::DataLossError(
      absl::StrCat("object `", object, "` has ", describe(counted), "; were written: ", describe(shard)));
}

Task<absl::StatusOr<bool>> RemoveShard(Pool* pool, uint64_t number, uint32_t piece) {
  const std::string object = ShardObject(number, piece);
  WriteOp op = pool->NewWrite();
  op.Remove();
  const int result = co_await pool->Write(object, std::move(op), /*frees=*/true);
  if (result < 0 && result != -ENOENT) co_return ToStatus(result, object);
  co_return result == 0;
}

}  // namespace restante::rados
