// The certificate that peers are shown, and what TLS has to be like: 1.2 or 1.3
// with forward secrecy and authenticated encryption (RFC 8996, 9325).
#ifndef RESTANTE_CLIENT_SMTP_TLS_CONTEXT_H_
#define RESTANTE_CLIENT_SMTP_TLS_CONTEXT_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/file_watch.h"

namespace restante::smtp {

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, SslFree>;

struct SslContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContextPtr = std::unique_ptr<SSL_CTX, SslContextFree>;

// One thread. Connections keep what they began with when the certificate changes,
// and may outlive this.
class TlsContext {
 public:
  // `certificate_file`: PEM, the host's own certificate first, then its chain.
  // `key_file`: its key in PEM without a passphrase; may be the same file. From
  // here on the process ignores SIGPIPE, for OpenSSL writes to sockets as to pipes.
  //
  // kFailedPrecondition, with the file and the reason, if they are of no use.
  static absl::StatusOr<std::unique_ptr<TlsContext>> Load(std::string certificate_file, std::string key_file);

  // The server's side of a connection at a non-blocking socket, which it does not
  // close. nullptr when there is no memory.
  SslPtr Accept(int fd) const;

  // Reads both files again. If they are of no use what was read before stays, and
  // the reason is logged. Sessions cannot be resumed with a new pair.
  void Reload();

  // To be called now and then: as Reload, once, when the files are not what they
  // were and have been the same at two calls in a row, so that nothing is read
  // between the writing of one and of the other.
  void ReloadIfChanged();

 private:
  TlsContext(std::string certificate_file, std::string key_file);

  absl::StatusOr<SslContextPtr> Read() const;
  void LogLoaded() const;

  const std::string certificate_file_;
  const std::string key_file_;
  SslContextPtr context_;
  FileWatch watch_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_TLS_CONTEXT_H_
