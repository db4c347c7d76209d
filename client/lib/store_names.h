// What ClientOptions::target names, and who turns a name into addresses.
#ifndef RESTANTE_CLIENT_LIB_STORE_NAMES_H_
#define RESTANTE_CLIENT_LIB_STORE_NAMES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::client_internal {

// One entry of the list.
struct StoreName {
  // For gRPC.
  std::string target;
  // If it is a host name of which each address may be a store of its own; else empty.
  std::string host, port;

  bool may_be_several() const { return !host.empty(); }
};

// Splits a comma-separated list. Host names with a port may be several, alone or
// behind `dns:`; addresses, sockets, `localhost` and gRPC's other targets are one store
// each. (A store that a name leads to by IPv4 and IPv6 counts as two, which harms
// nothing.) kInvalidArgument: an entry is empty.
absl::StatusOr<std::vector<StoreName>> ParseStoreNames(absl::string_view target);

class Resolver {
 public:
  virtual ~Resolver() = default;

  // All addresses of `host`, as `ADDRESS:PORT`, each once. Blocks; any thread.
  virtual absl::StatusOr<std::vector<std::string>> Resolve(const std::string& host,
                                                           const std::string& port) = 0;
};

// Asks the system: hosts file, DNS, whatever it is set up for.
class SystemResolver : public Resolver {
 public:
  // kUnavailable.
  absl::StatusOr<std::vector<std::string>> Resolve(const std::string& host, const std::string& port) override;
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_STORE_NAMES_H_
