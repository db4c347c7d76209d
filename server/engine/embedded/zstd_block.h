// One block of octets, compressed by zstd where that helps. Any thread.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_ZSTD_BLOCK_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_ZSTD_BLOCK_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::embedded {

// Empty unless it saves a twentieth, or if its octets look like noise.
std::string Compressed(absl::string_view block);

// `size` octets; kDataLoss if it is not that.
absl::StatusOr<std::string> Decompressed(absl::string_view stored, size_t size);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_ZSTD_BLOCK_H_
