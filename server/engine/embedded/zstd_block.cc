#include "server/engine/embedded/zstd_block.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

namespace restante::embedded {
namespace {

constexpr int kLevel = 1;
// Below this nothing is gained.
constexpr size_t kSmallest = 256;

// What is looked at before it is tried: so many octets in so many places.
constexpr size_t kSample = 512;
constexpr size_t kFewestSamples = 4, kMostSamples = 16;

// Whether octets occur nearly as evenly as in noise: two of them are the same less
// often than in noise of 7.6 bits (194 values), of which a twentieth could be saved.
bool IsEven(absl::string_view sample) {
  std::array<uint16_t, 256> counts{};
  for (const char octet : sample) ++counts[static_cast<uint8_t>(octet)];
  size_t pairs = 0;
  for (const uint32_t count : counts) pairs += size_t{count} * count;
  return pairs <= sample.size() + sample.size() * sample.size() / 194;
}

// Whether nearly all of it, but for a header, is: mail as 8-bit octets of something
// that is compressed already.
bool LooksLikeNoise(absl::string_view block) {
  const size_t samples = std::clamp(block.size() / 4 / kSample, kFewestSamples, kMostSamples);
  if (block.size() < samples * kSample) return false;
  size_t even = 0;
  for (size_t i = 0; i < samples; ++i) {
    even += IsEven(block.substr((block.size() - kSample) / (samples - 1) * i, kSample));
  }
  return even >= samples - samples / 4;
}

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

std::string Compressed(absl::string_view block) {
  if (block.size() < kSmallest || LooksLikeNoise(block)) return "";
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
