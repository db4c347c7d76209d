// One peer: a socket, and the Session that speaks for us.
#ifndef RESTANTE_CLIENT_SMTP_CONNECTION_H_
#define RESTANTE_CLIENT_SMTP_CONNECTION_H_

#include <asio/awaitable.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/smtp/client_limits.h"
#include "client/smtp/networks.h"
#include "client/smtp/session.h"
#include "client/smtp/transport.h"

namespace restante::smtp {

class TlsContext;

// What connections share; all of it outlives them.
struct ConnectionHost {
  const SessionHost* session = nullptr;
  // nullptr: there is no TLS.
  const TlsContext* tls = nullptr;
  // What all read into, so that one whose peer is silent holds no buffer.
  std::vector<char>* read_buffer = nullptr;
  // How long a peer may take to agree on TLS.
  std::chrono::milliseconds handshake_timeout{30'000};
  // How long a proxy may take to send its header.
  std::chrono::milliseconds proxy_timeout{5'000};
  // Who may speak LMTP, and who is believed.
  const Networks* trusted = nullptr;
  // Of those who are not trusted.
  ClientLimits* limits = nullptr;
  // A peer was turned away. `reason`: one word for the kind; `text`: for the log.
  std::function<void(absl::string_view reason, const asio::ip::address& client, absl::string_view text)>
      turned_away = nullptr;
};

// What is spoken with one peer.
struct ConnectionOptions {
  SessionOptions session;
  // TLS from the first octet on (RFC 8314, 3).
  bool implicit_tls = false;
  // A proxy says first whom it brings.
  bool proxy_header = false;
};

// All on the thread of the socket's io_context. The session copies what must stay
// of the read buffer.
class Connection {
 public:
  // `socket` is non-blocking; `peer` is who has connected.
  Connection(asio::ip::tcp::socket socket, const asio::ip::address& peer, const ConnectionOptions* options,
             const ConnectionHost* host);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The whole conversation. The connection must live until it returns.
  asio::awaitable<void> Run();

  // How long a peer may be silent.
  struct Patience {
    // Outside of a transaction, and within one.
    std::chrono::milliseconds outside;
    std::chrono::milliseconds within;
  };
  // To be called now and then: acts on a peer that has been silent for longer.
  void Sweep(std::chrono::steady_clock::time_point now, const Patience& patience);

  // As Session::Shutdown.
  void Shutdown(bool now);

  // Ends Run without another word.
  void Kill();

 private:
  enum class Waiting { kForNothing, kToRead, kToWrite, kForStore, kToLinger, kUntilDeadline };

  // Lets Run look again at what the session wants.
  void Wake();
  // False when the peer is gone.
  asio::awaitable<bool> Flush();
  asio::awaitable<bool> WaitForSocket(asio::ip::tcp::socket::wait_type type, Waiting why);
  // The same for what the transport asked for.
  asio::awaitable<bool> WaitForSocket(Transport::Outcome outcome, Waiting why);
  // False when there is none: then not a word is said.
  asio::awaitable<bool> ReadProxyHeader();
  // False when the client has used up what one may have; it is told so.
  asio::awaitable<bool> Admit();
  // False when it did not come about.
  asio::awaitable<bool> BeginTls();
  // Reads on until the peer has closed: closing with octets unread would make
  // the kernel throw away our last reply.
  asio::awaitable<void> Linger();

  const ConnectionOptions* const options_;
  const ConnectionHost* const host_;
  // Who is at the other end, which a proxy's header may change.
  asio::ip::address client_;
  Transport transport_;
  // Cancelled to wake Run; never expires.
  asio::steady_timer wake_;
  bool killed_ = false;
  // It counts in the host's limits.
  bool counted_ = false;
  Waiting waiting_ = Waiting::kForNothing;
  // When the peer was last seen to do something, as of the last sweep.
  std::chrono::steady_clock::time_point active_;
  // For kUntilDeadline.
  std::chrono::steady_clock::time_point deadline_;
  uint64_t seen_progress_ = 0;
  Session session_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_CONNECTION_H_
