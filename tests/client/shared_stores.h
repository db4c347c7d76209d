// Several stores with the same mail: servers of one memory engine, each behind a proxy
// through which it can be lost.
#ifndef RESTANTE_TESTS_CLIENT_SHARED_STORES_H_
#define RESTANTE_TESTS_CLIENT_SHARED_STORES_H_

#include <deque>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/engine/memory/memory_engine.h"
#include "server/mail/event_feed.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"
#include "server/rpc/methods.h"
#include "server/rpc/server.h"
#include "tests/client/proxy.h"
#include "tests/mail/small_store.h"

namespace restante {

class SharedStores : public mail::SmallStore {
 public:
  // One process.
  class Store {
   public:
    explicit Store(SharedStores* shared)
        : deliveries_(shared->engine_.get(), shared->directory_.get(), {}, &shared->clock_),
          provisioning_(shared->engine_.get(), engine::QuotaRules(), &shared->clock_),
          messages_(shared->engine_.get(), 1 << 20, &shared->clock_),
          events_(shared->engine_.get()),
          api_(shared->engine_.get(), &deliveries_, &provisioning_, &messages_, &events_),
          server_(*rpc::Server::Start({.listen = "127.0.0.1:0"}, api_.methods())),
          proxy_(server_->port()) {}
    ~Store() {
      server_.reset();
      EXPECT_TRUE(deliveries_.AwaitIdle(60'000'000));
    }

    const std::string& address() const { return proxy_.address(); }
    Proxy& proxy() { return proxy_; }
    mail::Deliveries& deliveries() { return deliveries_; }

   private:
    mail::Deliveries deliveries_;
    mail::Provisioning provisioning_;
    mail::Messages messages_;
    mail::EventFeed events_;
    rpc::Api api_;
    std::unique_ptr<rpc::Server> server_;
    Proxy proxy_;
  };

  explicit SharedStores(size_t count) {
    for (size_t i = 0; i < count; ++i) stores.emplace_back(this);
  }

  // All of them, as a list.
  std::string target() const {
    std::string target;
    for (const Store& store : stores) absl::StrAppend(&target, target.empty() ? "" : ",", store.address());
    return target;
  }

  std::deque<Store> stores;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_CLIENT_SHARED_STORES_H_
