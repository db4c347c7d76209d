// restante probe ADDRESS: for health checks, where there is no shell.
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/context.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

constexpr timeval kPatience = {.tv_sec = 5, .tv_usec = 0};  // For each step.
constexpr size_t kMaxLine = 1000;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }

  static absl::StatusOr<Socket> Connect(const std::string& host, const std::string& port) {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
      return absl::InvalidArgumentError(gai_strerror(error));
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
    std::string why;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
      Socket socket(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
      setsockopt(socket.fd_, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
      setsockopt(socket.fd_, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
      if (connect(socket.fd_, at->ai_addr, at->ai_addrlen) == 0) return socket;
      why = std::strerror(errno);
    }
    return absl::UnavailableError(why);
  }

  absl::Status Send(absl::string_view text) {
    const ssize_t sent = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    return sent == static_cast<ssize_t>(text.size()) ? absl::OkStatus()
                                                     : absl::UnavailableError("takes nothing");
  }

  absl::StatusOr<std::string> Line() {
    std::string line;
    char octet;
    while (line.size() < kMaxLine && recv(fd_, &octet, 1, 0) == 1) {
      if (octet == '\n') return std::string(absl::StripSuffix(line, "\r"));
      line.push_back(octet);
    }
    return absl::UnavailableError(line.empty() ? "says nothing" : "does not end its line");
  }

 private:
  int fd_;
};

// The first line of what answers there, and what it has to begin with.
absl::StatusOr<std::string> Ask(const std::string& host, const std::string& port, const std::string& path) {
  ASSIGN_OR_RETURN(Socket socket, Socket::Connect(host, port));
  if (!path.empty()) {
    RETURN_IF_ERROR(socket.Send(absl::StrCat("GET ", path, " HTTP/1.0\r\nHost: ", host, "\r\n\r\n")));
  }
  ASSIGN_OR_RETURN(std::string line, socket.Line());
  // Whoever ends it properly is not counted as an error.
  if (path.empty()) (void)socket.Send("QUIT\r\n");
  return line;
}

absl::Status Probe(Context& context, const std::string& address) {
  const size_t slash = address.find('/');
  const std::string path = slash == std::string::npos ? "" : address.substr(slash);
  const std::string place = address.substr(0, slash);
  const size_t colon = place.rfind(':');
  if (colon == std::string::npos)
    return UsageError(absl::StrCat(address, ": is not HOST:PORT or HOST:PORT/PATH"));
  std::string host = place.substr(0, colon);
  if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) host = host.substr(1, host.size() - 2);
  const absl::StatusOr<std::string> line = Ask(host, place.substr(colon + 1), path);
  if (!line.ok()) return absl::FailedPreconditionError(absl::StrCat(address, ": ", line.status().message()));
  const bool good = path.empty() ? absl::StartsWith(*line, "220")
                                 : absl::StartsWith(*line, "HTTP/1.") && absl::StrContains(*line, " 200 ");
  if (!good) return absl::FailedPreconditionError(absl::StrCat(address, ": ", *line));
  context.out << Printable(*line) << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddProbeCommand(CLI::App& app, Context& context) {
  auto address = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("probe", "Whether a server is well, for health checks.");
  command
      ->add_option(
          "ADDRESS", *address,
          "HOST:PORT of an SMTP or LMTP server, which is to greet; or HOST:PORT/livez or /readyz of an "
          "operations port.")
      ->required();
  command->footer("Example:\n  restante probe 127.0.0.1:9354/readyz\n");
  command->callback([&context, address] {
    context.offline = true;
    context.run = [address](Context& c) { return Probe(c, *address); };
  });
}

}  // namespace restante::cli
