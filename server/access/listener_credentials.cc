#include "server/access/listener_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/auth_metadata_processor.h>

#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/base/file_watch.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"

namespace restante::access {
namespace {

// The texts for the next handshake, between the thread that reloads and gRPC's.
class CurrentTexts {
 public:
  void Set(PemTexts texts) {
    absl::MutexLock lock(&mutex_);
    texts_ = std::move(texts);
    taken_ = false;
  }

  absl::Time expires() const {
    absl::MutexLock lock(&mutex_);
    return texts_.expires;
  }

  // gRPC asks before each handshake, and before it listens.
  static grpc_ssl_certificate_config_reload_status Fetch(void* self,
                                                         grpc_ssl_server_certificate_config** config) {
    return static_cast<CurrentTexts*>(self)->Fetch(config);
  }

 private:
  grpc_ssl_certificate_config_reload_status Fetch(grpc_ssl_server_certificate_config** config) {
    absl::MutexLock lock(&mutex_);
    if (taken_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {texts_.key.c_str(), texts_.certificate.c_str()};
    // gRPC insists on authorities, also where no client is asked for a certificate
    // and so none is believed.
    const std::string& authorities = texts_.authorities.empty() ? texts_.certificate : texts_.authorities;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    taken_ = true;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  mutable absl::Mutex mutex_;
  PemTexts texts_ ABSL_GUARDED_BY(mutex_);
  bool taken_ ABSL_GUARDED_BY(mutex_) = false;
};

// gRPC's C++ has no credentials whose certificate can change by what we checked.
class ReloadedCredentials : public grpc::ServerCredentials {
 public:
  ReloadedCredentials(CurrentTexts* texts, bool ask_client)
      : credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                ask_client ? GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY
                           : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
                &CurrentTexts::Fetch, texts))) {}
  ~ReloadedCredentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* const credentials_;
};

class ListenerCredentialsImpl : public ListenerCredentials {
 public:
  explicit ListenerCredentialsImpl(PemFiles files)
      : files_(std::move(files)), watch_({files_.certificate, files_.key, files_.authorities}) {}

  absl::Status Read() {
    watch_.Reading();
    ASSIGN_OR_RETURN(PemTexts texts, ReadPemFiles(files_));
    const bool expired = texts.expires < absl::Now();
    Log(expired ? LogLevel::kWarning : LogLevel::kInfo,
        expired ? "the TLS certificate has expired: callers will refuse it" : "TLS certificate loaded",
        {{"file", files_.certificate},
         {"expires", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", texts.expires, absl::UTCTimeZone())}});
    texts_.Set(std::move(texts));
    return absl::OkStatus();
  }

  std::shared_ptr<grpc::ServerCredentials> credentials() override {
    return std::make_shared<ReloadedCredentials>(&texts_, !files_.authorities.empty());
  }

  absl::Time expires() const override { return texts_.expires(); }

  void Reload() override {
    if (absl::Status status = Read(); !status.ok()) {
      Log(LogLevel::kError, "the TLS certificate stays as it was", {{"reason", status.message()}});
    }
  }

  void ReloadIfChanged() override {
    if (watch_.Changed()) Reload();
  }

 private:
  const PemFiles files_;
  FileWatch watch_;
  CurrentTexts texts_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ListenerCredentials>> ListenerCredentials::Load(PemFiles files) {
  auto credentials = std::make_unique<ListenerCredentialsImpl>(std::move(files));
  RETURN_IF_ERROR(credentials->Read());
  return credentials;
}

}  // namespace restante::access
