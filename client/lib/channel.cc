#include "client/lib/channel.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/lib/credentials.h"
#include "server/access/token.h"

namespace restante::client_internal {
namespace {

// The largest answer is a page of 1000 entries with long names.
constexpr int kMaxReceive = 16 * 1024 * 1024;

std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options, const std::string& name,
                                           const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  using std::chrono::milliseconds;
  auto millis = [](milliseconds d) { return static_cast<int>(std::clamp<int64_t>(d.count(), 1, 3'600'000)); };
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, millis(options.keepalive));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, millis(options.keepalive_timeout));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, millis(options.min_backoff));
  // Despite its name the time that one attempt may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, std::min(millis(options.deadline), 20'000));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, millis(options.max_backoff));
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Each client has a connection, a back-off and a fate of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A store is addressed directly: a proxy of the environment is for the web.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxReceive);
  // TLS compares the certificate with it.
  if (!name.empty()) arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, name);
  return grpc::CreateCustomChannel(options.target, credentials, arguments);
}

}  // namespace

Channels::Channels(const ClientOptions& options, const std::string& name)
    : options_(options),
      name_(name),
      watch_(
          {options.credentials.ca_file, options.credentials.certificate_file, options.credentials.key_file}),
      token_watch_({options.credentials.token_file}) {
  absl::MutexLock lock(&mutex_);
  why_ = CheckCombination(options_.credentials, name_.empty() ? options_.target : name_);
  if (!why_.ok()) return;
  Read();
  if (!options_.credentials.token_file.empty()) ReadToken();
}

std::shared_ptr<grpc::Channel> Channels::Current(absl::Status* why) const {
  absl::MutexLock lock(&mutex_);
  *why = why_.ok() ? token_why_ : why_;
  return why->ok() ? channel_ : nullptr;
}

void Channels::Look() {
  absl::MutexLock lock(&mutex_);
  changed_ = watch_.Changed() || changed_;
}

void Channels::Renew() {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(changed_, false)) Read();
}

void Channels::Read() {
  watch_.Reading();
  const StoreCredentials& files = options_.credentials;
  absl::StatusOr<PemTexts> texts = ReadCertificates(files);
  if (!texts.ok()) {
    if (channel_ == nullptr) why_ = texts.status();
    return;
  }
  why_ = absl::OkStatus();
  if (files.ca_file.empty()) {
    channel_ = MakeChannel(options_, name_, grpc::InsecureChannelCredentials());
    return;
  }
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = std::move(texts->authorities);
  ssl.pem_cert_chain = std::move(texts->certificate);
  ssl.pem_private_key = std::move(texts->key);
  channel_ = MakeChannel(options_, name_, grpc::SslCredentials(ssl));
}

void Channels::ReadToken() {
  token_watch_.Reading();
  absl::StatusOr<std::string> token = access::ReadToken(options_.credentials.token_file);
  if (token.ok()) {
    token_ = *std::move(token);
    token_why_ = absl::OkStatus();
  } else if (token_.empty()) {
    token_why_ = token.status();
  }
}

void Channels::Authenticate(grpc::ClientContext* context) {
  if (options_.credentials.token_file.empty()) return;
  absl::MutexLock lock(&mutex_);
  if (token_watch_.Changed()) ReadToken();
  if (!token_.empty()) context->AddMetadata("authorization", absl::StrCat("Bearer ", token_));
}

}  // namespace restante::client_internal
