#include "server/engine/embedded/zstd_block.h"

#include <zstd.h>

#include <memory>

namespace restante::embedded {
namespace {

constexpr int kLevel = 1;
// Below this nothing is gained.
constexpr size_t kSmallest = 256;

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

std::string Compressed(absl::string_view block) {
  if (block.size() < kSmallest) return "";
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  // What does not fit into 95 % is refused by zstd itself.
  std::string out(block.size() - block.size() / 20, '\0');
  const size_t bytes =
      ZSTD_compressCCtx(context.get(), out.data(), out.size(), block.data(), block.size(), kLevel);
  if (ZSTD_isError(bytes)) return "";
  out.resize(bytes);
  out.shrink_to_fit();
  return out;
}

absl::StatusOr<std::string> Decompressed(absl::string_view stored, size_t size) {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  std::string out(size, '\0');
  const size_t bytes = ZSTD_decompressDCtx(context.get(), out.data(), size, stored.data(), stored.size());
  if (ZSTD_isError(bytes) || bytes != size) return absl::DataLossError("cannot be decompressed");
  return out;
}

}  // namespace restante::embedded
