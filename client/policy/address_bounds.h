// What may be asked about at all.
#ifndef RESTANTE_CLIENT_POLICY_ADDRESS_BOUNDS_H_
#define RESTANTE_CLIENT_POLICY_ADDRESS_BOUNDS_H_

#include "absl/strings/string_view.h"

namespace restante::policy {

// Whether the API takes `text` for an address: UTF-8 of at most 1024 octets
// (delivery.proto). Whether it is one is the store's to say.
bool MayBeAddress(absl::string_view text);

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_ADDRESS_BOUNDS_H_
