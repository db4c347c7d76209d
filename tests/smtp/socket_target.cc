#include "tests/smtp/socket_target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <asio/post.hpp>
#include <chrono>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/smtp/tls_context.h"
#include "tests/smtp/test_certificate.h"

namespace restante::smtp {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

bool HasEvent(const Dialogue& dialogue, const std::string& name) {
  return std::any_of(dialogue.steps.begin(), dialogue.steps.end(), [&](const DialogueStep& step) {
    return step.kind == DialogueStep::Kind::kEvent && step.text == name;
  });
}

// One for all; its files are gone when it is loaded.
TlsContext* Tls() {
  static const std::unique_ptr<TlsContext> tls = [] {
    const CertificateFolder folder;
    return *TlsContext::Load(folder.certificate_file(), folder.key_file());
  }();
  return tls.get();
}

ServerOptions OptionsOf(const Dialogue& dialogue) {
  ServerOptions options;
  options.session = dialogue.options;
  const bool trusted = dialogue.trusted || dialogue.options.protocol == Protocol::kLmtp;
  if (!dialogue.proxy_header.empty()) {
    options.trusted_networks = *Networks::Parse({"127.0.0.1", trusted ? dialogue.client : "127.0.0.1"});
  } else if (!trusted) {
    options.trusted_networks = *Networks::Parse({"203.0.113.0/24"});
  }
  if (dialogue.options.offer_tls) options.tls = Tls();
  if (HasEvent(dialogue, "idle")) options.idle_timeout = milliseconds(200);
  return options;
}

}  // namespace

LoopServer::LoopServer(const Service& service, ServerOptions options) {
  host_.store = &store_;
  host_.clock = Clock::System();
  host_.new_request_id = [this] { return absl::StrCat("request-", 10000000 + ++ids_); };
  host_.on_transaction = [this](const TransactionRecord& record) { records_.push_back(record); };
  store_.executor = [this](absl::AnyInvocable<void()> fn) {
    asio::post(io_, [fn = std::move(fn)]() mutable { fn(); });
  };
  server_ = std::make_unique<Server>(&io_, std::move(options), &host_);
  absl::StatusOr<std::string> bound = server_->Listen(service, "127.0.0.1:0");
  uint32_t port = 0;
  if (bound.ok()) (void)absl::SimpleAtoi(bound->substr(bound->rfind(':') + 1), &port);
  port_ = static_cast<uint16_t>(port);
}

LoopServer::~LoopServer() {
  bool drained = false;
  server_->Drain(milliseconds(0), [&] { drained = true; });
  Until([&] { return drained; });
}

int LoopServer::Connect() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

bool LoopServer::Until(const std::function<bool()>& done) {
  const auto limit = steady_clock::now() + std::chrono::seconds(10);
  while (!done()) {
    if (steady_clock::now() > limit) return false;
    io_.run_for(milliseconds(1));
    io_.restart();
  }
  return true;
}

SocketTarget::SocketTarget(const Dialogue& dialogue)
    : grace_ends_(HasEvent(dialogue, "shutdown-now")),
      server_(Service{.protocol = dialogue.options.protocol, .proxy_header = !dialogue.proxy_header.empty()},
              OptionsOf(dialogue)),
      socket_(server_.Connect()) {
  if (!dialogue.proxy_header.empty()) Send(dialogue.proxy_header);
}

SocketTarget::~SocketTarget() { Hangup(); }

void SocketTarget::Hangup() {
  if (socket_.fd() < 0) return;
  socket_.Close();
  server_.Until([&] { return server_.server().connections() == 0; });
}

void SocketTarget::Send(const std::string& octets) {
  unsent_ += octets;
  // The server may have closed, or may not read on before we do.
  server_.Until([&] {
    const ssize_t n = socket_.Send(unsent_);
    if (n > 0) unsent_.erase(0, static_cast<size_t>(n));
    Receive();
    if (end_) unsent_.clear();
    return unsent_.empty();
  });
}

void SocketTarget::Receive() {
  char buffer[4096];
  while (!end_) {
    const ssize_t n = socket_.Receive(buffer, sizeof(buffer));
    if (n > 0) {
      received_.append(buffer, static_cast<size_t>(n));
    } else {
      end_ = n == 0 || (errno != EAGAIN && errno != EINTR);
      return;
    }
  }
}

absl::Status SocketTarget::Event(const std::string& name) {
  if (name == "eof") {
    ::shutdown(socket_.fd(), SHUT_WR);
  } else if (name == "shutdown") {
    server_.server().Drain(grace_ends_ ? milliseconds(50) : milliseconds(10'000), [] {});
  } else if (name == "tls") {
    server_.Until([&] { return socket_.Handshake() || socket_.tls_failed(); });
    if (socket_.tls_failed()) return absl::FailedPreconditionError("no TLS");
  } else if (name != "idle" && name != "shutdown-now") {
    return absl::InvalidArgumentError(absl::StrCat("unknown event `", name, "`"));
  }
  return absl::OkStatus();
}

absl::Status SocketTarget::Store(const std::string& knob) { return ApplyStoreKnob(knob, &server_.store()); }

absl::StatusOr<std::string> SocketTarget::ReadLine() {
  size_t end = std::string::npos;
  const bool came = server_.Until([&] {
    Receive();
    end = received_.find("\r\n");
    return end != std::string::npos || end_;
  });
  if (end == std::string::npos) return absl::FailedPreconditionError(came ? "closed" : "no reply");
  std::string line = received_.substr(0, end);
  received_.erase(0, end + 2);
  return line;
}

absl::Status SocketTarget::NothingMore() {
  Receive();
  if (received_.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("unexpected reply: ", received_));
}

absl::Status SocketTarget::Closed() {
  const bool closed = server_.Until([&] {
    Receive();
    return end_;
  });
  return closed ? absl::OkStatus() : absl::FailedPreconditionError("not closed");
}

bool SocketTarget::Turn() {
  server_.io().run_for(milliseconds(1));
  server_.io().restart();
  return true;
}

}  // namespace restante::smtp
