// The real server on a loopback socket, as a target of dialogues. One thread: the
// test turns the server's loop while it waits.
#ifndef RESTANTE_TESTS_SMTP_SOCKET_TARGET_H_
#define RESTANTE_TESTS_SMTP_SOCKET_TARGET_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/smtp/server.h"
#include "server/base/clock.h"
#include "tests/smtp/client_socket.h"
#include "tests/smtp/dialogue.h"
#include "tests/smtp/fake_store.h"

namespace restante::smtp {

// A server and a fake store in one loop.
class LoopServer {
 public:
  LoopServer(const Service& service, ServerOptions options);
  LoopServer(Protocol protocol, ServerOptions options) : LoopServer(Service{protocol}, std::move(options)) {}
  ~LoopServer();

  // A connected socket, which the caller closes; -1 on an error.
  int Connect();

  // Turns the loop until `done`; false after ten seconds.
  bool Until(const std::function<bool()>& done);

  asio::io_context& io() { return io_; }
  Server& server() { return *server_; }
  FakeStore& store() { return store_; }
  std::vector<TransactionRecord>& records() { return records_; }

 private:
  asio::io_context io_;
  FakeStore store_;
  SessionHost host_;
  std::vector<TransactionRecord> records_;
  int ids_ = 0;
  uint16_t port_ = 0;
  std::unique_ptr<Server> server_;
};

class SocketTarget : public DialogueTarget {
 public:
  explicit SocketTarget(const Dialogue& dialogue);
  ~SocketTarget() override;

  void Send(const std::string& octets) override;
  absl::Status Event(const std::string& name) override;
  absl::Status Store(const std::string& knob) override;
  absl::StatusOr<std::string> ReadLine() override;
  absl::Status NothingMore() override;
  absl::Status Closed() override;
  bool Turn() override;
  FakeStore& store() override { return server_.store(); }
  std::vector<TransactionRecord>& records() override { return server_.records(); }

  // Closes our side and waits until the server has forgotten us.
  void Hangup();

 private:
  // Takes in what has arrived.
  void Receive();

  bool grace_ends_ = false;
  LoopServer server_;
  ClientSocket socket_;
  std::string unsent_;
  std::string received_;
  bool end_ = false;
};

}  // namespace restante::smtp

#endif  // RESTANTE_TESTS_SMTP_SOCKET_TARGET_H_
