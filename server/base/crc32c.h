// CRC32C (Castagnoli, RFC 3720 appendix B.4), by ISA-L.
#ifndef RESTANTE_SERVER_BASE_CRC32C_H_
#define RESTANTE_SERVER_BASE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace restante {

// The CRC of everything so far, gone on with `octets`: Crc32c(b, Crc32c(a)) is
// that of a and b together. `123456789` gives 0xE3069283.
uint32_t Crc32c(absl::string_view octets, uint32_t before = 0);

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_CRC32C_H_
