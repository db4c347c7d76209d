// One peer: a socket, and the Responder that speaks for us.
#ifndef RESTANTE_CLIENT_POLICY_CONNECTION_H_
#define RESTANTE_CLIENT_POLICY_CONNECTION_H_

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/policy/responder.h"

namespace restante::policy {

// All on the thread of the socket's io_context, which is the store's executor.
class Connection {
 public:
  // `socket` is non-blocking. `read_buffer` is shared and outlives all of them.
  Connection(asio::ip::tcp::socket socket, std::unique_ptr<Responder> responder,
             std::vector<char>* read_buffer);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The whole conversation, requests one after another. The connection must live
  // until it returns. A peer that sends no more is still answered what it asked.
  // kInvalidArgument, with what is wrong, for a peer that speaks something else.
  asio::awaitable<absl::Status> Run();

  // To be called now and then: ends Run if no request was finished for `idle`.
  void Sweep(std::chrono::steady_clock::time_point now, std::chrono::milliseconds idle);

  // Ends Run as soon as what was asked is answered.
  void Shutdown();

  // Ends Run without another word, but not before the store has answered.
  void Kill();

 private:
  enum class Waiting { kForNothing, kToRead, kToWrite, kForStore };

  asio::awaitable<std::string> Ask();
  // False when the peer is gone.
  asio::awaitable<bool> Send(absl::string_view octets);
  asio::awaitable<void> WaitForSocket(asio::ip::tcp::socket::wait_type type, Waiting why);

  asio::ip::tcp::socket socket_;
  const std::unique_ptr<Responder> responder_;
  std::vector<char>* const read_buffer_;
  // Cancelled when the answer is there; never expires.
  asio::steady_timer wake_;
  std::optional<std::string> reply_;
  Waiting waiting_ = Waiting::kForNothing;
  bool draining_ = false;
  bool killed_ = false;
  std::chrono::steady_clock::time_point active_;
};

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_CONNECTION_H_
