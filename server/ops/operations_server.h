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
  // Listens on `address` (HOST:PORT; port 0: any) and serves until it is destroyed;
  // `metrics` gives Prometheus's text, on a thread of the server. kUnavailable: the
  // address cannot be had.
  static absl::StatusOr<std::unique_ptr<OperationsServer>> Listen(const std::string& address,
                                                                  std::function<std::string()> metrics);
  ~OperationsServer();

  // HOST:PORT, with the port that it got.
  const std::string& address() const { return address_; }

  // From now on /readyz says 503: the store takes no new work.
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
