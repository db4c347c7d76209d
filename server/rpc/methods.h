// The table of methods: every method that the store serves.
#ifndef RESTANTE_SERVER_RPC_METHODS_H_
#define RESTANTE_SERVER_RPC_METHODS_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/engine/engine.h"
#include "server/mail/deliveries.h"
#include "server/mail/event_feed.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"
#include "server/rpc/health.h"
#include "server/rpc/message_streams.h"
#include "server/rpc/method.h"
#include "server/rpc/reflection.h"
#include "server/rpc/store_calls.h"

namespace restante::rpc {

// What the methods work on. All outlive it; it outlives the server.
class Api {
 public:
  // `append_idle`: how long an AppendMessage may send nothing (`--transaction-idle`).
  // Uptime counts from here.
  Api(engine::Engine* engine, mail::Deliveries* deliveries, mail::Provisioning* provisioning,
      mail::Messages* messages, mail::EventFeed* events, absl::Duration append_idle = absl::Minutes(10));

  Methods methods();
  Health& health() { return health_; }

  // Open at present. Any thread.
  struct Streams {
    std::atomic<uint64_t> deliver{0}, watch_events{0};
  };
  const Streams& streams() const { return streams_; }

 private:
  engine::Engine* const engine_;
  mail::Deliveries* const deliveries_;
  mail::Provisioning* const provisioning_;
  mail::Messages* const messages_;
  mail::EventFeed* const events_;
  const AppendOptions append_;
  const calls::StoreParts store_;
  Streams streams_;
  Health health_;
  Reflection reflection_;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_METHODS_H_
