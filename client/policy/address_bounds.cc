#include "client/policy/address_bounds.h"

#include <unistr.h>

#include <cstddef>
#include <cstdint>

namespace restante::policy {

bool MayBeAddress(absl::string_view text) {
  constexpr size_t kMaxOctets = 1024;
  return !text.empty() && text.size() <= kMaxOctets &&
         u8_check(reinterpret_cast<const uint8_t*>(text.data()), text.size()) == nullptr;
}

}  // namespace restante::policy
