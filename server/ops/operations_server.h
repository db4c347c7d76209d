// HTTP for operators' machines: /metrics, /livez, /readyz.
#ifndef RESTANTE_SERVER_OPS_OPERATIONS_SERVER_H_
#define RESTANTE_SERVER_OPS_OPERATIONS_SERVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"

namespace httplib {
class Server;
}  // namespace httplib

namespace restante::ops {

class OperationsServer {
 public:
  // What it serves, asked for on threads of the server.
  struct Source {
    // Prometheus's text.
    std::function<std::string()> metrics;
    // Whether new work can be done: /readyz. Absent: always.
    std::function<bool()> ready;
  };

  // Listens on `address` (HOST:PORT; port 0: any) and serves until it is destroyed.
  // kUnavailable: the address cannot be had.
  static absl::StatusOr<std::unique_ptr<OperationsServer>> Listen(const std::string& address, Source source);

  // The same for the option --ops-listen: an address; `none`, null; or `auto`,
  // `usual` unless another program has it: then null, with a warning.
  static absl::StatusOr<std::unique_ptr<OperationsServer>> ListenAsTold(const std::string& option,
                                                                        const std::string& usual,
                                                                        Source source);
  ~OperationsServer();

  // HOST:PORT, with the port that it got.
  const std::string& address() const { return address_; }

  // From now on /readyz says 503: no new work is taken.
  void Stopping() { stopping_ = true; }

 private:
  OperationsServer();

  std::unique_ptr<httplib::Server> server_;
  std::string address_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_OPERATIONS_SERVER_H_
