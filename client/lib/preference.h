// Which store a mailbox prefers: the one of the highest weight (rendezvous hashing).
// Clients that know the same stores agree, whatever machine they run on, and a store
// that goes or comes moves its own share of the mailboxes and no other.
//
// It is a hint for speed: any store serves any mailbox, and one that gets most of what
// is done to a mailbox seldom finds that another has changed it.
#ifndef RESTANTE_CLIENT_LIB_PREFERENCE_H_
#define RESTANTE_CLIENT_LIB_PREFERENCE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace restante::client_internal {

// Of an address or of a mailbox's name (`mailboxes/...`), which come to the same, in
// any case. Aliases, details and percent-encoding are not looked through.
uint64_t MailboxKey(absl::string_view address);

// The same for any other octets.
uint64_t PreferenceKey(absl::string_view octets);

// `store`: PreferenceKey of its address.
uint64_t Weight(uint64_t mailbox, uint64_t store);

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_PREFERENCE_H_
