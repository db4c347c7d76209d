#include "server/ops/webhook.h"

#include <google/protobuf/util/json_util.h>
#include <httplib.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/clock.h"
#include "server/base/file_watch.h"
#include "server/base/log.h"
#include "server/base/pem_files.h"
#include "server/base/status_macros.h"

namespace restante::ops {
namespace {

// Nobody needs to hear more than that.
constexpr uint64_t kLongestAnswer = 64 * 1024;
// A secret that could be guessed signs nothing.
constexpr size_t kShortestSecret = 16;

struct Url {
  std::string server;  // `https://host:port`
  std::string path;
};

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  const auto wrong = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("--webhook-url ", text, ": ", why));
  };
  absl::string_view rest = text;
  const bool tls = absl::ConsumePrefix(&rest, "https://");
  if (!tls && !absl::ConsumePrefix(&rest, "http://")) return wrong("does not begin with http:// or https://");
  for (const char c : text) {
    if (!absl::ascii_isgraph(c)) return wrong("has a character that belongs into no URL");
  }
  const size_t end = rest.find_first_of("/?#");
  const absl::string_view host = rest.substr(0, end);
  if (absl::StrContains(text, '#')) return wrong("has a fragment, which nobody would get");
  if (absl::StrContains(host, '@')) {
    // Not shown again: it may be a password.
    return absl::InvalidArgumentError("--webhook-url: a user and a password in it are not supported");
  }
  absl::string_view name = host;
  if (absl::ConsumePrefix(&name, "[")) {
    const size_t bracket = name.find(']');
    if (bracket == name.npos) return wrong("has `[` without `]`");
    name = name.substr(bracket + 1);
    if (host.find(']') == 1) return wrong("has no host");
    if (!name.empty() && !absl::StartsWith(name, ":")) return wrong("has something between host and port");
  } else {
    name = host.substr(std::min(host.find(':'), host.size()));
    if (name.size() == host.size()) return wrong("has no host");
  }
  uint32_t port = 0;
  if (absl::ConsumePrefix(&name, ":") &&
      (!absl::SimpleAtoi(name, &port) || port == 0 || port > 65535 || !absl::ascii_isdigit(name[0]))) {
    return wrong("its port is not a number from 1 to 65535");
  }
  Url url;
  url.server = absl::StrCat(tls ? "https://" : "http://", host);
  url.path = end == rest.npos ? "/" : std::string(rest.substr(end));
  if (url.path[0] == '?') url.path.insert(0, "/");
  return url;
}

absl::StatusOr<std::string> ReadSecret(const std::string& file) {
  if (file.empty()) return std::string();
  absl::StatusOr<std::string> text = ReadSmallFile(file);
  if (!text.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("--webhook-secret-file ", text.status().message()));
  }
  const absl::string_view line = absl::string_view(*text).substr(0, text->find('\n'));
  const std::string secret(absl::StripTrailingAsciiWhitespace(line));
  if (secret.size() < kShortestSecret) {
    return absl::FailedPreconditionError(
        absl::StrCat("--webhook-secret-file `", file, "`: its first line has ", secret.size(),
                     " characters, at least ", kShortestSecret, " are wanted"));
  }
  return secret;
}

}  // namespace

std::string WebhookSignature(absl::string_view secret, int64_t unix_time, absl::string_view body) {
  const std::string text = absl::StrCat(unix_time, ".", body);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  return absl::StrCat("t=", unix_time, ",v1=",
                      absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(mac), size)));
}

std::string WebhookBody(const engine::stored::Event& event) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string body;
  // (It has no field that JSON could not say.)
  (void)google::protobuf::util::MessageToJsonString(mail::ToStoreEvent(event), &body, options);
  return body;
}

absl::Status CheckWebhookUrl(absl::string_view url) { return ParseUrl(url).status(); }

// One request after another, on the consumer's thread.
class Webhook::Poster {
 public:
  Poster(Options options, Url url, std::string secret)
      : options_(std::move(options)),
        url_(std::move(url)),
        client_(url_.server),
        watch_({options_.secret_file}),
        secret_(std::move(secret)) {
    const auto micros = std::chrono::microseconds(absl::ToInt64Microseconds(options_.timeout));
    client_.set_connection_timeout(micros);
    client_.set_read_timeout(micros);
    client_.set_write_timeout(micros);
    client_.set_keep_alive(true);
    client_.set_tcp_nodelay(true);
    if (!options_.ca_file.empty()) client_.set_ca_cert_path(options_.ca_file);
  }

  // What is under way fails.
  void Stop() { client_.stop(); }

  void Reload() {
    watch_.Reading();
    absl::StatusOr<std::string> secret = ReadSecret(options_.secret_file);
    if (!secret.ok()) {
      return Log(LogLevel::kError, "the webhook's secret is not read again, the old one stays",
                 {{"cause", secret.status().message()}});
    }
    absl::MutexLock lock(&mutex_);
    if (std::exchange(secret_, *std::move(secret)) != secret_) {
      Log(LogLevel::kInfo, "the webhook's secret was read again");
    }
  }
  void ReloadIfChanged() {
    if (watch_.Changed()) Reload();
  }

  absl::Status Post(const engine::stored::Event& event) {
    httplib::Request request;
    request.method = "POST";
    request.path = url_.path;
    request.body = WebhookBody(event);
    request.set_header("Content-Type", "application/json");
    request.set_header("User-Agent", "restante-store");
    {
      absl::MutexLock lock(&mutex_);
      if (!secret_.empty()) {
        request.set_header("Restante-Signature",
                           WebhookSignature(secret_, absl::ToUnixSeconds(absl::Now()), request.body));
      }
    }
    int status = 0;
    uint64_t heard = 0;
    const Clock* const clock = Clock::System();
    const int64_t end_us = clock->MonotonicMicros() + absl::ToInt64Microseconds(options_.timeout);
    request.response_handler = [&](const httplib::Response& response) {
      status = response.status;
      return true;
    };
    request.content_receiver = [&](const char*, size_t octets, uint64_t, uint64_t) {
      heard += octets;
      return heard <= kLongestAnswer && clock->MonotonicMicros() < end_us;
    };
    const httplib::Result result = client_.send(request);
    if (result) status = result->status;
    if (status >= 200 && status < 300) return absl::OkStatus();
    if (status != 0) {
      return absl::UnavailableError(
          absl::StrCat("the webhook answered ", status, " to event ", event.sequence()));
    }
    return absl::UnavailableError(absl::StrCat("the webhook did not answer to event ", event.sequence(), ": ",
                                               httplib::to_string(result.error())));
  }

 private:
  const Options options_;
  const Url url_;
  httplib::Client client_;
  FileWatch watch_;
  absl::Mutex mutex_;
  std::string secret_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<Webhook>> Webhook::Start(Options options, mail::EventFeed* feed) {
  ASSIGN_OR_RETURN(Url url, ParseUrl(options.url));
  ASSIGN_OR_RETURN(std::string secret, ReadSecret(options.secret_file));
  if (!options.ca_file.empty()) {
    if (absl::Status read =
            ReadPemFiles({.certificate = "", .key = "", .authorities = options.ca_file}).status();
        !read.ok()) {
      return absl::FailedPreconditionError(absl::StrCat("--webhook-ca ", read.message()));
    }
  }
  auto poster = std::make_unique<Poster>(options, std::move(url), std::move(secret));
  return absl::WrapUnique(new Webhook(std::move(poster), feed, options));
}

Webhook::Webhook(std::unique_ptr<Poster> poster, mail::EventFeed* feed, const Options& options)
    : poster_(std::move(poster)),
      consumer_(std::make_unique<mail::EventConsumer>(
          feed,
          mail::EventConsumer::Options{
              .name = "webhook", .first_pause = options.first_pause, .longest_pause = options.longest_pause},
          [this](const engine::stored::Event& event) { return poster_->Post(event); })) {}

Webhook::~Webhook() {
  poster_->Stop();
  consumer_.reset();
}

void Webhook::Reload() { poster_->Reload(); }
void Webhook::ReloadIfChanged() { poster_->ReloadIfChanged(); }
mail::EventConsumer::Figures Webhook::figures() const { return consumer_->figures(); }

}  // namespace restante::ops
