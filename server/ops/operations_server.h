// HTTP for operators and their machines: /metrics, /livez, /readyz, and a page for
// people if the program has one.
#ifndef RESTANTE_SERVER_OPS_OPERATIONS_SERVER_H_
#define RESTANTE_SERVER_OPS_OPERATIONS_SERVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace httplib {
class Server;
}  // namespace httplib

namespace restante::ops {

class OperationsServer {
 public:
  struct Page {
    std::string path, content_type;
    std::function<std::string()> content;
  };

  // What it serves, asked for on threads of the server.
  struct Source {
    // Prometheus's text.
    std::function<std::string()> metrics;
    // Whether this password opens it. Absent: everyone may read it.
    std::function<bool(absl::string_view password)> may_scrape;
    // Whether new work can be done: /readyz. Absent: always.
    std::function<bool()> ready;
    // `/`, with what it loads. Absent: there is none.
    std::vector<Page> pages;
    // Whether this password opens the pages (RFC 7617: any user name; RFC 6750: as a
    // bearer token). Absent: everyone may read them.
    std::function<bool(absl::string_view password)> authorize;
    // Whether only this machine's own see them, for the password would go in the clear.
    bool pages_stay_here = false;
  };

  // Beside each page: it loads nothing from elsewhere, and nobody frames it.
  static constexpr char kContentSecurityPolicy[] =
      "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
