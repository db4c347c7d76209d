#include "client/policy/connection.h"

#include <sys/socket.h>

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

namespace restante::policy {
namespace {

using asio::ip::tcp;
using std::chrono::steady_clock;

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

Connection::Connection(tcp::socket socket, std::unique_ptr<Responder> responder,
                       std::vector<char>* read_buffer)
    : socket_(std::move(socket)),
      responder_(std::move(responder)),
      read_buffer_(read_buffer),
      wake_(socket_.get_executor(), steady_clock::time_point::max()),
      active_(steady_clock::now()) {}

asio::awaitable<absl::Status> Connection::Run() {
  // What was read and not yet consumed, at most one read's worth.
  std::string pending;
  bool end = false;
  while (!killed_) {
    absl::StatusOr<size_t> used = responder_->Consume(pending);
    if (!used.ok()) co_return used.status();
    pending.erase(0, *used);
    if (responder_->complete()) {
      const std::string reply = co_await Ask();
      if (!co_await Send(reply)) break;
      active_ = steady_clock::now();
      continue;
    }
    if (end || draining_) break;
    // All of it is consumed: nothing is complete.
    std::string().swap(pending);
    // Also lets others have their turn: there may always be more to read.
    co_await WaitForSocket(tcp::socket::wait_read, Waiting::kToRead);
    const ssize_t n = ::recv(socket_.native_handle(), read_buffer_->data(), read_buffer_->size(), 0);
    if (n > 0) {
      pending.assign(read_buffer_->data(), static_cast<size_t>(n));
    } else if (n == 0) {
      end = true;
    } else if (!WouldBlock() && errno != EINTR) {
      break;
    }
  }
  if (end && responder_->within_request()) {
    co_return absl::InvalidArgumentError("the connection ended within a request");
  }
  co_return absl::OkStatus();
}

asio::awaitable<std::string> Connection::Ask() {
  reply_.reset();
  responder_->Answer([this](std::string reply) {
    reply_ = std::move(reply);
    wake_.cancel();
  });
  waiting_ = Waiting::kForStore;
  while (!reply_.has_value()) {
    std::error_code cancelled;
    co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }
  waiting_ = Waiting::kForNothing;
  co_return *std::move(reply_);
}

asio::awaitable<bool> Connection::Send(absl::string_view octets) {
  while (!octets.empty() && !killed_) {
    const ssize_t n = ::send(socket_.native_handle(), octets.data(), octets.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      octets.remove_prefix(static_cast<size_t>(n));
    } else if (WouldBlock()) {
      co_await WaitForSocket(tcp::socket::wait_write, Waiting::kToWrite);
    } else if (errno != EINTR) {
      co_return false;
    }
  }
  co_return octets.empty();
}

asio::awaitable<void> Connection::WaitForSocket(tcp::socket::wait_type type, Waiting why) {
  std::error_code error;
  waiting_ = why;
  co_await socket_.async_wait(type, asio::redirect_error(asio::use_awaitable, error));
  waiting_ = Waiting::kForNothing;
}

void Connection::Sweep(steady_clock::time_point now, std::chrono::milliseconds idle) {
  if (waiting_ == Waiting::kForStore) {
    active_ = now;
  } else if (now - active_ >= idle) {
    Kill();
  }
}

void Connection::Shutdown() {
  draining_ = true;
  if (waiting_ == Waiting::kToRead) Kill();
}

void Connection::Kill() {
  killed_ = true;
  std::error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace restante::policy
