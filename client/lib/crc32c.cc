#include "client/lib/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace restante::client_internal {

uint32_t ExtendCrc32c(uint32_t crc, absl::string_view octets) {
  // ISA-L leaves the inversions to its caller, counts in int, and reads only
  // through its pointer, which is not const.
  constexpr size_t kMost = size_t{1} << 30;
  crc = ~crc;
  while (!octets.empty()) {
    size_t n = std::min(octets.size(), kMost);
    crc = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<char*>(octets.data())), static_cast<int>(n),
                      crc);
    octets.remove_prefix(n);
  }
  return ~crc;
}

}  // namespace restante::client_internal
