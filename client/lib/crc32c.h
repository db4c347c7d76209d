// CRC32C (RFC 3720, B.4) in steps: start with 0, feed octets in order.
#ifndef RESTANTE_CLIENT_LIB_CRC32C_H_
#define RESTANTE_CLIENT_LIB_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace restante::client_internal {

// The checksum of what `crc` covers followed by `octets`.
uint32_t ExtendCrc32c(uint32_t crc, absl::string_view octets);

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_CRC32C_H_
