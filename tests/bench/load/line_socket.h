// A connection of a load generator: it writes what it can and reads what has come,
// within one thread that waits for all of them.
#ifndef RESTANTE_TESTS_BENCH_LOAD_LINE_SOCKET_H_
#define RESTANTE_TESTS_BENCH_LOAD_LINE_SOCKET_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace restante::bench {

class LineSocket {
 public:
  // Connects to `HOST:PORT` (an IPv4 address), and waits for it.
  explicit LineSocket(const std::string& address);
  ~LineSocket();
  LineSocket(const LineSocket&) = delete;
  LineSocket& operator=(const LineSocket&) = delete;

  // Sends `octets`, which stay where they are until written() is true again.
  void Send(std::string_view octets);

  // The peer may close, too.
  void Close();

  // Whether the kernel has taken all that was sent.
  bool written() const { return unsent_.empty(); }

  // What has come and was not consumed.
  std::string_view input() const { return std::string_view(input_).substr(begin_); }
  void Consume(size_t octets);

 private:
  friend class Poller;
  void Flush();
  // False: the peer has closed.
  bool Read();

  int fd_ = -1;
  std::string_view unsent_;
  std::string input_;
  size_t begin_ = 0;
};

// Waits for all of its sockets at once.
class Poller {
 public:
  Poller();
  ~Poller();

  // `on_event` runs when something has come or all of a Send was written.
  void Add(LineSocket* socket, std::function<void()> on_event);

  // Serves events until `done()`, which is looked at after each batch of them. A peer
  // that closes before is an error.
  void RunUntil(const std::function<bool()>& done);

 private:
  struct Entry {
    LineSocket* socket;
    std::function<void()> on_event;
  };
  int fd_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace restante::bench

#endif  // RESTANTE_TESTS_BENCH_LOAD_LINE_SOCKET_H_
