// A TCP proxy in front of a store, through which the store can be lost in every way
// that a machine can: refusing, cut off, silent, or with its answers on their way.
#ifndef RESTANTE_TESTS_CLIENT_PROXY_H_
#define RESTANTE_TESTS_CLIENT_PROXY_H_

#include <list>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace restante {

class Proxy {
 public:
  // To `port` on this machine, from a port of its own.
  explicit Proxy(int port);
  ~Proxy();

  // `host:port`; the same over Cut and Restore.
  const std::string& address() const { return address_; }

  // Passes nothing on any more, in neither direction, and keeps what comes; connections
  // are taken and stand, as those of a process that was stopped.
  void Freeze() { Set(Mode::kFrozen); }
  // Passes on what is for the store, and keeps what comes from it.
  void HoldAnswers() { Set(Mode::kHoldingAnswers); }
  // Passes all on again, and what was kept first.
  void Thaw() { Set(Mode::kOpen); }
  // Breaks all connections, loses what was kept, and refuses new ones, as of a process
  // that was killed. When it returns it is done.
  void Cut() { Set(Mode::kCut); }
  // Takes connections again.
  void Restore() { Set(Mode::kOpen); }

  // Octets that were kept in either direction since it last was open.
  size_t kept();

 private:
  enum class Mode { kOpen, kFrozen, kHoldingAnswers, kCut };
  struct Pair {
    int near = -1, far = -1;
    std::string to_store, to_client;  // Waiting.
    bool near_ended = false, far_ended = false;
  };

  void Set(Mode mode);
  void Run();
  void Listen();
  // False: it is over.
  bool Pump(Pair& pair, Mode mode);

  const int port_;
  int listener_ = -1;
  int own_port_ = 0;
  std::string address_;
  int wake_[2];

  absl::Mutex mutex_;
  Mode wanted_ ABSL_GUARDED_BY(mutex_) = Mode::kOpen;
  Mode mode_ ABSL_GUARDED_BY(mutex_) = Mode::kOpen;  // What Run has seen to.
  size_t kept_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::list<Pair> pairs_;  // Of the thread.
  std::thread thread_;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_CLIENT_PROXY_H_
