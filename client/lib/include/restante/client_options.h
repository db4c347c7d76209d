// Where the stores are, and what a client may expect of them.
#ifndef RESTANTE_CLIENT_OPTIONS_H_
#define RESTANTE_CLIENT_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "restante/credentials.h"

namespace restante {

struct ClientOptions {
  // `HOST:PORT` or any gRPC target. Several stores, which all hold the same mail: a
  // comma-separated list, or a name with a port that leads to several addresses
  // (`dns:///restante-stores:8354`), each of which is a store.
  std::string target = "127.0.0.1:8354";
  StoreCredentials credentials = {};
  // For unary calls, and for an answer within a transaction (not for Receipts).
  std::chrono::milliseconds deadline{30'000};
  std::chrono::milliseconds keepalive{20'000};
  std::chrono::milliseconds keepalive_timeout{10'000};
  // Between attempts to connect: from the first to the second, doubling.
  std::chrono::milliseconds min_backoff{100};
  std::chrono::milliseconds max_backoff{2'000};
  // With several stores: one that leaves the question whether it is there, asked every
  // 250 ms, unanswered for so long takes no new transactions until it answers, and
  // those that wait for it are lost when they have for four times as long. One whose
  // connection breaks is passed by at once.
  std::chrono::milliseconds store_patience{500};
  // How often a name is resolved again; also when one of several stores goes away.
  std::chrono::milliseconds resolve_interval{5'000};
  // Streams to a store that transactions are spread over. Bodies declared above 256 KiB
  // take a stream of their own beside these.
  int streams = 1;
  // Runs the handlers' calls, a whole batch as one closure: an event loop posts
  // it to itself. Closures must run one after another, in order, and what is sent
  // leaves behind those that wait already. Default: the one thread of all clients
  // in the process, one call at a time; a handler must not block there, and may
  // be called before Begin has returned.
  std::function<void(absl::AnyInvocable<void()>)> executor = {};
};

// One of the stores that a client knows.
struct StoreState {
  // As it was given, or as its name was resolved.
  std::string address;
  // It is where new transactions go.
  bool up = false;
  // Begun there by this client so far, and open.
  uint64_t transactions = 0;
  uint64_t open = 0;
};

}  // namespace restante

#endif  // RESTANTE_CLIENT_OPTIONS_H_
