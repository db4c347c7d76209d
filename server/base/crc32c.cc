#include "server/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace restante {

uint32_t Crc32c(absl::string_view octets, uint32_t before) {
  // ISA-L leaves both inversions to its caller, and takes lengths as int.
  constexpr size_t kStep = size_t{1} << 30;
  uint32_t crc = ~before;
  while (!octets.empty()) {
    const absl::string_view step = octets.substr(0, kStep);
    crc = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<char*>(step.data())),
                      static_cast<int>(step.size()), crc);
    octets.remove_prefix(step.size());
  }
  return ~crc;
}

}  // namespace restante
