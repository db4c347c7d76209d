#include "client/smtp/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <cstddef>
#include <system_error>
#include <utility>

#include "client/smtp/proxy_header.h"
#include "client/smtp/socket_state.h"

namespace restante::smtp {
namespace {

using asio::ip::tcp;
using std::chrono::steady_clock;
using Outcome = Transport::Outcome;

// How long, and for how many octets, a peer may go on after the last reply.
constexpr std::chrono::seconds kLinger{2};
constexpr size_t kMaxLingerOctets = 1 << 20;
constexpr size_t kMaxIdleBuffer = 512;

}  // namespace

Connection::Connection(tcp::socket socket, const asio::ip::address& peer, const ConnectionOptions* options,
                       const ConnectionHost* host)
    : options_(options),
      host_(host),
      client_(Unmapped(peer)),
      transport_(std::move(socket)),
      wake_(transport_.socket().get_executor(), steady_clock::time_point::max()),
      active_(steady_clock::now()),
      session_(&options->session, host->session, [this] { Wake(); }) {}

Connection::~Connection() {
  if (counted_) host_->limits->Leave(client_, session_.errors(), steady_clock::now());
}

asio::awaitable<void> Connection::Run() {
  if (options_->proxy_header && !co_await ReadProxyHeader()) co_return;
  const Peer peer{client_.to_string(), host_->trusted->Contains(client_)};
  if (!peer.trusted && !co_await Admit()) co_return;
  if (options_->implicit_tls && !co_await BeginTls()) co_return;
  if (options_->session.protocol == Protocol::kLmtp && !peer.trusted) {
    host_->turned_away("not_trusted", client_, "LMTP is for trusted networks only");
  }
  session_.Start(peer);
  while (!killed_) {
    // All replies that have gathered leave in one send.
    if (!session_.output().empty()) {
      if (!co_await Flush()) co_return;
      continue;
    }
    if (session_.closed()) {
      co_await Linger();
      co_return;
    }
    if (session_.wants_tls()) {
      if (!co_await BeginTls()) co_return;
      continue;
    }
    if (!session_.wants_input()) {
      std::error_code cancelled;
      waiting_ = Waiting::kForStore;
      active_ = steady_clock::now();
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
      waiting_ = Waiting::kForNothing;
      continue;
    }
    // A record of TLS fits into the buffer, so none of it waits where the socket
    // does not show it.
    if (!co_await WaitForSocket(tcp::socket::wait_read, Waiting::kToRead)) continue;
    Transport::Result got = transport_.Read(host_->read_buffer);
    while (got.outcome == Outcome::kWritable && !killed_) {
      // TLS has something of its own to say first.
      co_await WaitForSocket(tcp::socket::wait_write, Waiting::kToWrite);
      got = transport_.Read(host_->read_buffer);
    }
    if (got.outcome == Outcome::kDone) {
      session_.Input({host_->read_buffer->data(), got.octets});
    } else if (got.outcome == Outcome::kEnd) {
      session_.EndOfInput(AllAcknowledged(transport_.socket().native_handle(), /*writes_ended=*/false));
    } else if (got.outcome == Outcome::kBroken) {
      co_return;
    }
  }
}

asio::awaitable<bool> Connection::ReadProxyHeader() {
  deadline_ = steady_clock::now() + host_->proxy_timeout;
  const int fd = transport_.socket().native_handle();
  std::string octets;
  ProxyHeader header{.state = ProxyHeader::State::kIncomplete};
  while (header.state == ProxyHeader::State::kIncomplete) {
    co_await WaitForSocket(tcp::socket::wait_read, Waiting::kUntilDeadline);
    if (killed_) {
      if (steady_clock::now() < deadline_) co_return false;  // Shutting down.
      header.reason = "it took too long";
      break;
    }
    // Only what belongs to the header is taken off the socket: what follows may be TLS.
    char* const buffer = host_->read_buffer->data();
    const ssize_t n =
        ::recv(fd, buffer, std::min(host_->read_buffer->size(), ProxyHeader::kMaxLength), MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) continue;
    if (n <= 0) {
      // Whoever only looks whether somebody listens is no news.
      if (octets.empty()) co_return false;
      header.reason = "the peer has closed";
      break;
    }
    const size_t before = octets.size();
    octets.append(buffer, static_cast<size_t>(n));
    header = ParseProxyHeader(octets);
    if (header.state == ProxyHeader::State::kComplete) octets.resize(header.length);
    (void)::recv(fd, buffer, octets.size() - before, 0);
  }
  if (header.state == ProxyHeader::State::kComplete) {
    std::error_code none;
    if (!header.client.empty()) client_ = asio::ip::make_address(header.client, none);
    co_return true;
  }
  host_->turned_away("proxy_header", client_, header.reason);
  co_return false;
}

asio::awaitable<bool> Connection::Admit() {
  const ClientLimits::Verdict verdict = host_->limits->Admit(client_, steady_clock::now());
  counted_ = verdict == ClientLimits::Verdict::kWelcome;
  if (counted_) co_return true;
  host_->turned_away("client_limit", client_, Describe(verdict));
  // In TLS a handshake would cost more than it is worth.
  if (options_->implicit_tls) co_return false;
  AppendReply(kTooManyFromClient, absl::StrCat(options_->session.hostname, " ", Describe(verdict)),
              &session_.output());
  if (co_await Flush()) co_await Linger();
  co_return false;
}

asio::awaitable<bool> Connection::BeginTls() {
  SslPtr ssl = host_->tls->Accept(transport_.socket().native_handle());
  if (ssl == nullptr) co_return false;
  transport_.BeginTls(std::move(ssl));
  deadline_ = steady_clock::now() + host_->handshake_timeout;
  Outcome outcome = transport_.Handshake();
  while (outcome == Outcome::kReadable || outcome == Outcome::kWritable) {
    co_await WaitForSocket(outcome, Waiting::kUntilDeadline);
    if (killed_) break;
    outcome = transport_.Handshake();
  }
  if (outcome == Outcome::kDone) {
    session_.TlsBegun(transport_.Description());
    co_return true;
  }
  // A peer says why in an alert, a scanner in nothing; neither may fill the log.
  absl::string_view reason = transport_.reason();
  if (killed_ && steady_clock::now() < deadline_) co_return false;  // Shutting down.
  if (reason.empty()) reason = killed_ ? "it took too long" : "the peer has closed";
  host_->turned_away("tls_handshake", client_, reason);
  // An alert may be on its way that says what was wrong.
  co_await Linger();
  co_return false;
}

asio::awaitable<bool> Connection::WaitForSocket(Outcome outcome, Waiting why) {
  const auto type = outcome == Outcome::kWritable ? tcp::socket::wait_write : tcp::socket::wait_read;
  return WaitForSocket(type, why);
}

asio::awaitable<bool> Connection::WaitForSocket(tcp::socket::wait_type type, Waiting why) {
  std::error_code error;
  waiting_ = why;
  co_await transport_.socket().async_wait(type, asio::redirect_error(asio::use_awaitable, error));
  waiting_ = Waiting::kForNothing;
  // Other errors show when the socket is used.
  co_return error != asio::error::operation_aborted;
}

asio::awaitable<bool> Connection::Flush() {
  std::string& output = session_.output();
  size_t sent = 0;
  Unread before;
  while (sent < output.size()) {
    if (session_.awaits_proof()) before = transport_.unread();
    const Transport::Result put = transport_.Write(absl::string_view(output).substr(sent));
    switch (put.outcome) {
      case Outcome::kDone:
        sent += put.octets;
        active_ = steady_clock::now();
        break;
      case Outcome::kReadable:
      case Outcome::kWritable:
        co_await WaitForSocket(put.outcome, Waiting::kToWrite);
        if (killed_) co_return false;
        break;
      case Outcome::kEnd:
      case Outcome::kBroken:
        co_return false;
    }
  }
  session_.Written(before.octets, before.ended);
  // An idle connection keeps no large buffer.
  if (output.capacity() > kMaxIdleBuffer) {
    std::string().swap(output);
  } else {
    output.clear();
  }
  co_return true;
}

asio::awaitable<void> Connection::Linger() {
  transport_.EndWrites();
  active_ = steady_clock::now();
  size_t octets = 0;
  while (!killed_ && octets < kMaxLingerOctets) {
    co_await WaitForSocket(tcp::socket::wait_read, Waiting::kToLinger);
    // What it is, in TLS or not, does not matter any more.
    const ssize_t n = ::recv(transport_.socket().native_handle(), host_->read_buffer->data(),
                             host_->read_buffer->size(), 0);
    if (n > 0) {
      octets += static_cast<size_t>(n);
    } else if (n == 0) {
      const bool acknowledged = AllAcknowledged(transport_.socket().native_handle(), /*writes_ended=*/true);
      if (session_.awaits_proof()) session_.EndOfInput(acknowledged);
      co_return;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      co_return;
    }
  }
}

void Connection::Sweep(steady_clock::time_point now, const Patience& patience) {
  const std::chrono::milliseconds idle = session_.in_transaction() ? patience.within : patience.outside;
  switch (waiting_) {
    case Waiting::kToRead:
      if (session_.progress() != seen_progress_) {
        seen_progress_ = session_.progress();
        active_ = now;
      } else if (now - active_ >= idle) {
        session_.IdleTimeout();
        Wake();
      }
      break;
    case Waiting::kToWrite:
      // Replies that it does not take: there is no way to tell it anything.
      if (now - active_ >= idle) Kill();
      break;
    case Waiting::kToLinger:
      if (now - active_ >= kLinger) Kill();
      break;
    case Waiting::kForStore:
      // The library tells when the store is lost; this is for one that lives and
      // never says what became of a Commit. Neither would be true: no reply.
      if (now - active_ >= options_->session.settle_timeout) Kill();
      break;
    case Waiting::kUntilDeadline:
      if (now >= deadline_) Kill();
      break;
    case Waiting::kForNothing:
      active_ = now;
      break;
  }
}

void Connection::Shutdown(bool now) {
  // With whom we have not begun yet, or not begun TLS, there is nothing to end.
  if (waiting_ == Waiting::kUntilDeadline) return Kill();
  session_.Shutdown(now);
  Wake();
}

void Connection::Kill() {
  killed_ = true;
  wake_.cancel();
  std::error_code ignored;
  transport_.socket().cancel(ignored);
}

void Connection::Wake() {
  if (waiting_ == Waiting::kForStore) {
    wake_.cancel();
  } else if (waiting_ == Waiting::kToRead &&
             (!session_.output().empty() || session_.closed() || !session_.wants_input())) {
    std::error_code ignored;
    transport_.socket().cancel(ignored);
  }
}

}  // namespace restante::smtp
