// What the gRPC listener shows to its callers, and asks of them: TLS 1.2 or 1.3,
// and with authorities a client certificate, which who brings a token may lack.
#ifndef RESTANTE_SERVER_ACCESS_LISTENER_CREDENTIALS_H_
#define RESTANTE_SERVER_ACCESS_LISTENER_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/pem_files.h"

namespace restante::access {

// The listener's certificate, from files that may change while it runs.
// Connections keep what they began with. Reloads: one thread.
class ListenerCredentials {
 public:
  virtual ~ListenerCredentials() = default;

  // `files.certificate` and `files.key` are needed; `files.authorities` are those
  // that client certificates are believed by, none: no such is asked for. One that
  // has expired is taken with a warning: clients refuse it, but the mail that
  // other means bring goes on. Errors: as ReadPemFiles.
  static absl::StatusOr<std::unique_ptr<ListenerCredentials>> Load(PemFiles files);

  // For ServerBuilder::AddListeningPort, of a server that is gone before this is.
  // The address has to be an IP address or a Unix socket: for a name that stands
  // for several, gRPC (1.51) takes up a new certificate in several threads at once
  // without a lock.
  virtual std::shared_ptr<grpc::ServerCredentials> credentials() = 0;

  // When the certificate ends. Any thread.
  virtual absl::Time expires() const = 0;

  // Reads the files again for connections to come. If they are of no use what was
  // read before stays, and the reason is logged.
  virtual void Reload() = 0;
  // The same once they have changed; to be called now and then.
  virtual void ReloadIfChanged() = 0;
};

}  // namespace restante::access

#endif  // RESTANTE_SERVER_ACCESS_LISTENER_CREDENTIALS_H_
