// The maps that an MTA may look recipients up in, so that it refuses by itself
// those that the store does not know:
//
//     domain    a domain              OK if it is hosted
//     mailbox   an address            OK with the address of the mailbox that it leads to
//               @domain               OK with the domain's catch-all
//
// A full mailbox exists; a disabled one does not, or the MTA would take what it
// must then return.
#ifndef RESTANTE_CLIENT_POLICY_SOCKETMAP_ANSWER_H_
#define RESTANTE_CLIENT_POLICY_SOCKETMAP_ANSWER_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/policy/socketmap_request.h"
#include "restante/v1/delivery.pb.h"

namespace restante::policy {

// The address to ask CheckRecipient about. kNotFound: the key can be in no map,
// nothing is to be asked. kInvalidArgument: there is no such map.
//
// `nobody` is a local part that no mailbox has: what becomes of it tells about the
// domain and its catch-all.
absl::StatusOr<std::string> AddressToCheck(const SocketmapRequest& request, absl::string_view nobody);

// The reply's text, from CheckRecipient's decision, why there is none, or
// AddressToCheck's error.
std::string SocketmapAnswer(const SocketmapRequest& request, const absl::StatusOr<v1::Decision>& decision);

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_SOCKETMAP_ANSWER_H_
