#include "tests/client/proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace restante {
namespace {

// Of one direction of a connection; beyond that its sender waits.
constexpr size_t kMaxWaiting = 4 << 20;

void Require(bool done) {
  if (!done) std::abort();
}

sockaddr_in At(int port) {
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(static_cast<uint16_t>(port));
  return at;
}

// Reset and not closed: what was sent is lost, as with a machine.
void Reset(int fd) {
  const linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(fd);
}

void SendAtOnce(int fd) {
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

// False: the end, or an error.
bool Read(int fd, std::string* to) {
  char octets[65536];
  const ssize_t n = recv(fd, octets, sizeof(octets), MSG_DONTWAIT);
  if (n > 0) to->append(octets, static_cast<size_t>(n));
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

bool Write(int fd, std::string* from) {
  while (!from->empty()) {
    const ssize_t n = send(fd, from->data(), from->size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    from->erase(0, static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

Proxy::Proxy(int port) : port_(port) {
  Require(pipe2(wake_, O_CLOEXEC | O_NONBLOCK) == 0);
  Listen();
  address_ = absl::StrCat("127.0.0.1:", own_port_);
  thread_ = std::thread([this] { Run(); });
}

Proxy::~Proxy() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  Require(write(wake_[1], "x", 1) == 1);
  thread_.join();
  close(wake_[0]);
  close(wake_[1]);
}

size_t Proxy::kept() {
  absl::MutexLock lock(&mutex_);
  return kept_;
}

void Proxy::Set(Mode mode) {
  absl::MutexLock lock(&mutex_);
  wanted_ = mode;
  Require(write(wake_[1], "x", 1) == 1);
  auto seen_to = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return mode_ == mode; };
  mutex_.Await(absl::Condition(&seen_to));
}

void Proxy::Listen() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int yes = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_in at = At(own_port_);
  socklen_t length = sizeof(at);
  Require(bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
  Require(listen(listener_, 128) == 0);
  Require(getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &length) == 0);
  own_port_ = ntohs(at.sin_port);
}

bool Proxy::Pump(Pair& pair, Mode mode) {
  if (pair.to_store.size() < kMaxWaiting && !pair.near_ended)
    pair.near_ended = !Read(pair.near, &pair.to_store);
  if (pair.to_client.size() < kMaxWaiting && !pair.far_ended)
    pair.far_ended = !Read(pair.far, &pair.to_client);
  const bool pass_answers = mode == Mode::kOpen;
  const bool pass_requests = pass_answers || mode == Mode::kHoldingAnswers;
  if (pass_requests && !Write(pair.far, &pair.to_store)) return false;
  if (pass_answers && !Write(pair.near, &pair.to_client)) return false;
  // Who ended is told behind what it was sent.
  if (pair.near_ended && pass_requests && pair.to_store.empty()) return false;
  return !(pair.far_ended && pass_answers && pair.to_client.empty());
}

void Proxy::Run() {
  Mode mode = Mode::kOpen;
  while (true) {
    std::vector<pollfd> polled = {{wake_[0], POLLIN, 0}};
    if (listener_ >= 0) polled.push_back({listener_, POLLIN, 0});
    for (const Pair& pair : pairs_) {
      const bool requests = mode == Mode::kOpen || mode == Mode::kHoldingAnswers;
      const auto events = [](bool in, bool out) {
        return static_cast<short>((in ? POLLIN : 0) | (out ? POLLOUT : 0));
      };
      polled.push_back(
          {pair.near_ended ? -1 : pair.near,
           events(pair.to_store.size() < kMaxWaiting, mode == Mode::kOpen && !pair.to_client.empty()), 0});
      polled.push_back({pair.far_ended ? -1 : pair.far,
                        events(pair.to_client.size() < kMaxWaiting, requests && !pair.to_store.empty()), 0});
    }
    poll(polled.data(), polled.size(), -1);
    char drained[64];
    while (read(wake_[0], drained, sizeof(drained)) > 0) {
    }
    absl::MutexLock lock(&mutex_);
    mode = ending_ ? Mode::kCut : wanted_;
    if (mode == Mode::kCut) {
      for (const Pair& pair : pairs_) {
        Reset(pair.near);
        Reset(pair.far);
      }
      pairs_.clear();
      if (listener_ >= 0) close(listener_);
      listener_ = -1;
    } else if (listener_ < 0) {
      Listen();
    }
    int near;
    while (listener_ >= 0 && (near = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0) {
      const int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in at = At(port_);
      // Refused there is refused here.
      if (connect(far, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0) {
        SendAtOnce(near);
        SendAtOnce(far);
        Pair& pair = pairs_.emplace_back();
        pair.near = near;
        pair.far = far;
      } else {
        Reset(near);
        close(far);
      }
    }
    kept_ = 0;
    for (auto at = pairs_.begin(); at != pairs_.end();) {
      if (Pump(*at, mode)) {
        kept_ += at->to_store.size() + at->to_client.size();
        ++at;
      } else {
        Reset(at->near);
        Reset(at->far);
        at = pairs_.erase(at);
      }
    }
    mode_ = mode;
    if (ending_) return;
  }
}

}  // namespace restante
