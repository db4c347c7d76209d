#include "tests/bench/load/line_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tests/bench/load/inputs.h"

namespace restante::bench {

LineSocket::LineSocket(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  if (colon == std::string::npos || inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    Die("`" + address + "`: not an IPv4 address and a port");
  }
  to.sin_port = htons(static_cast<uint16_t>(std::strtoul(address.c_str() + colon + 1, nullptr, 10)));
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    Die(address + ": connect: " + std::strerror(errno));
  }
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
}

LineSocket::~LineSocket() { Close(); }

void LineSocket::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void LineSocket::Send(std::string_view octets) {
  unsent_ = octets;
  Flush();
}

void LineSocket::Consume(size_t octets) {
  begin_ += octets;
  if (begin_ == input_.size()) {
    input_.clear();
    begin_ = 0;
  }
}

void LineSocket::Flush() {
  while (!unsent_.empty()) {
    const ssize_t sent = send(fd_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN) return;
      Die(std::string("send: ") + std::strerror(errno));
    }
    unsent_.remove_prefix(static_cast<size_t>(sent));
  }
}

bool LineSocket::Read() {
  std::array<char, 16384> buffer;
  ssize_t got;
  do {
    got = recv(fd_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno != EAGAIN) Die(std::string("recv: ") + std::strerror(errno));
    if (got > 0) input_.append(buffer.data(), static_cast<size_t>(got));
  } while (got == static_cast<ssize_t>(buffer.size()));
  return got != 0;
}

Poller::Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
  if (fd_ < 0) Die(std::string("epoll_create1: ") + std::strerror(errno));
}

Poller::~Poller() { close(fd_); }

void Poller::Add(LineSocket* socket, std::function<void()> on_event) {
  entries_.push_back(std::make_unique<Entry>(Entry{socket, std::move(on_event)}));
  epoll_event event{};
  // Edge-triggered, so that room to write costs nothing while none is wanted.
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.ptr = entries_.back().get();
  if (epoll_ctl(fd_, EPOLL_CTL_ADD, socket->fd_, &event) != 0) {
    Die(std::string("epoll_ctl: ") + std::strerror(errno));
  }
}

void Poller::RunUntil(const std::function<bool()>& done) {
  std::array<epoll_event, 256> events;
  while (!done()) {
    const int count = epoll_wait(fd_, events.data(), events.size(), 60'000);
    if (count == 0) Die("nothing came for 60 s");
    if (count < 0 && errno != EINTR) Die(std::string("epoll_wait: ") + std::strerror(errno));
    for (int i = 0; i < count; ++i) {
      Entry& entry = *static_cast<Entry*>(events[i].data.ptr);
      const bool open = (events[i].events & EPOLLIN) == 0 || entry.socket->Read();
      if (!entry.socket->written()) entry.socket->Flush();
      entry.on_event();
      if (!open && entry.socket->fd_ >= 0) Die("the server has closed the connection");
    }
  }
}

}  // namespace restante::bench
