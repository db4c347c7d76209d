#include "client/smtp/connection.h"

#include <sys/socket.h>

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <cstddef>
#include <system_error>
#include <utility>

#include "client/smtp/socket_state.h"

namespace restante::smtp {
namespace {

using asio::ip::tcp;
using std::chrono::steady_clock;

// How long, and for how many octets, a peer may go on after the last reply.
constexpr std::chrono::seconds kLinger{2};
constexpr size_t kMaxLingerOctets = 1 << 20;
constexpr size_t kMaxIdleBuffer = 512;

}  // namespace

Connection::Connection(tcp::socket socket, std::string client, const SessionOptions* options,
                       const SessionHost* host, std::vector<char>* read_buffer)
    : socket_(std::move(socket)),
      read_buffer_(read_buffer),
      wake_(socket_.get_executor(), steady_clock::time_point::max()),
      patience_(options->settle_timeout),
      active_(steady_clock::now()),
      session_(options, host, std::move(client), [this] { Wake(); }) {}

asio::awaitable<void> Connection::Run() {
  session_.Start();
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
    if (!session_.wants_input()) {
      std::error_code cancelled;
      waiting_ = Waiting::kForStore;
      active_ = steady_clock::now();
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
      waiting_ = Waiting::kForNothing;
      continue;
    }
    if (!co_await WaitForSocket(tcp::socket::wait_read, Waiting::kToRead)) continue;
    const ssize_t n = ::recv(socket_.native_handle(), read_buffer_->data(), read_buffer_->size(), 0);
    if (n > 0) {
      session_.Input({read_buffer_->data(), static_cast<size_t>(n)});
    } else if (n == 0) {
      session_.EndOfInput(AllAcknowledged(socket_.native_handle(), /*writes_ended=*/false));
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      co_return;
    }
  }
}

asio::awaitable<bool> Connection::WaitForSocket(tcp::socket::wait_type type, Waiting why) {
  std::error_code error;
  waiting_ = why;
  co_await socket_.async_wait(type, asio::redirect_error(asio::use_awaitable, error));
  waiting_ = Waiting::kForNothing;
  // Other errors show when the socket is used.
  co_return error != asio::error::operation_aborted;
}

asio::awaitable<bool> Connection::Flush() {
  std::string& output = session_.output();
  size_t sent = 0;
  Unread before;
  while (sent < output.size()) {
    if (session_.awaits_proof()) before = UnreadOf(socket_.native_handle());
    const ssize_t n =
        ::send(socket_.native_handle(), output.data() + sent, output.size() - sent, MSG_NOSIGNAL);
    if (n >= 0) {
      sent += static_cast<size_t>(n);
      active_ = steady_clock::now();
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      co_await WaitForSocket(tcp::socket::wait_write, Waiting::kToWrite);
      if (killed_) co_return false;
    } else if (errno != EINTR) {
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
  std::error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  active_ = steady_clock::now();
  size_t octets = 0;
  while (!killed_ && octets < kMaxLingerOctets) {
    co_await WaitForSocket(tcp::socket::wait_read, Waiting::kToLinger);
    const ssize_t n = ::recv(socket_.native_handle(), read_buffer_->data(), read_buffer_->size(), 0);
    if (n > 0) {
      octets += static_cast<size_t>(n);
    } else if (n == 0) {
      session_.EndOfInput(AllAcknowledged(socket_.native_handle(), /*writes_ended=*/true));
      co_return;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      co_return;
    }
  }
}

void Connection::Sweep(steady_clock::time_point now, std::chrono::milliseconds idle) {
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
      if (now - active_ >= patience_) Kill();
      break;
    case Waiting::kForNothing:
      active_ = now;
      break;
  }
}

void Connection::Shutdown(bool now) {
  session_.Shutdown(now);
  Wake();
}

void Connection::Kill() {
  killed_ = true;
  wake_.cancel();
  std::error_code ignored;
  socket_.cancel(ignored);
}

void Connection::Wake() {
  if (waiting_ == Waiting::kForStore) {
    wake_.cancel();
  } else if (waiting_ == Waiting::kToRead &&
             (!session_.output().empty() || session_.closed() || !session_.wants_input())) {
    std::error_code ignored;
    socket_.cancel(ignored);
  }
}

}  // namespace restante::smtp
