#include "client/smtp/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"

namespace restante::smtp {
namespace {

// For TLS 1.2; those of 1.3 are all of this kind.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL";

// Why the last call of OpenSSL did not do: the first thing that went wrong in it.
std::string Reason() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
  const char* reason = ERR_reason_error_string(error);
  return reason == nullptr ? "no reason given" : reason;
}

absl::Status Unusable(absl::string_view file, absl::string_view what, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("`", file, "`: ", what, ": ", why));
}

// Nobody is there to be asked. `asked` is a bool.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

absl::Status UseKey(const std::string& file, const std::string& certificate_file, SSL_CTX* context) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new_file(file.c_str(), "r"), BIO_free);
  constexpr absl::string_view kNoKey = "no private key";
  if (bio == nullptr) return Unusable(file, kNoKey, Reason());
  bool asked = false;
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, &asked), EVP_PKEY_free);
  if (key == nullptr) {
    const std::string reason = Reason();
    return Unusable(file, kNoKey, asked ? "it is locked with a passphrase" : reason);
  }
  if (X509_check_private_key(SSL_CTX_get0_certificate(context), key.get()) != 1) {
    ERR_clear_error();
    return absl::FailedPreconditionError(
        absl::StrCat("`", file, "`: is not the key of the certificate in `", certificate_file, "`"));
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return Unusable(file, kNoKey, Reason());
  return absl::OkStatus();
}

}  // namespace

TlsContext::TlsContext(std::string certificate_file, std::string key_file)
    : certificate_file_(std::move(certificate_file)),
      key_file_(std::move(key_file)),
      watch_({certificate_file_, key_file_}) {}

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Load(std::string certificate_file,
                                                             std::string key_file) {
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<TlsContext> tls(new TlsContext(std::move(certificate_file), std::move(key_file)));
  ASSIGN_OR_RETURN(tls->context_, tls->Read());
  tls->LogLoaded();
  return tls;
}

SslPtr TlsContext::Accept(int fd) const {
  SslPtr ssl(SSL_new(context_.get()));
  if (ssl == nullptr || SSL_set_fd(ssl.get(), fd) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  SSL_set_accept_state(ssl.get());
  return ssl;
}

void TlsContext::Reload() {
  watch_.Reading();
  absl::StatusOr<SslContextPtr> context = Read();
  if (!context.ok()) {
    return Log(LogLevel::kError, "the TLS certificate stays as it was",
               {{"reason", context.status().message()}});
  }
  context_ = *std::move(context);
  LogLoaded();
}

void TlsContext::ReloadIfChanged() {
  if (watch_.Changed()) Reload();
}

absl::StatusOr<SslContextPtr> TlsContext::Read() const {
  ERR_clear_error();
  SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context.get(), kCiphers) != 1 || SSL_CTX_set_dh_auto(context.get(), 1) != 1) {
    return absl::FailedPreconditionError(absl::StrCat("OpenSSL is of no use: ", Reason()));
  }
  // An end without close_notify is no attack: only whole commands are carried out,
  // only whole messages are stored.
  SSL_CTX_set_options(context.get(),
                      SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // A connection that is idle holds no buffers; replies grow while they wait.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Sessions are resumed by tickets, which the peers keep; we keep none.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file_.c_str()) != 1) {
    return Unusable(certificate_file_, "no certificate", Reason());
  }
  RETURN_IF_ERROR(UseKey(key_file_, certificate_file_, context.get()));
  return context;
}

void TlsContext::LogLoaded() const {
  struct tm t = {};
  ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(context_.get())), &t);
  const bool expired = timegm(&t) < std::time(nullptr);
  Log(expired ? LogLevel::kWarning : LogLevel::kInfo,
      expired ? "the TLS certificate has expired" : "TLS certificate loaded",
      {{"file", certificate_file_},
       {"expires", absl::StrFormat("%04d-%02d-%02dT%02d:%02d:%02dZ", t.tm_year + 1900, t.tm_mon + 1,
                                   t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec)}});
}

}  // namespace restante::smtp
