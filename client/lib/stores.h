// The stores that a client was given, each with its connection: which there are, which
// of them a transaction goes to, and who is asked when one does not answer.
//
// They all hold the same mail. A transaction prefers a store by its first recipient
// (preference.h), and takes the next best while that one is away, draining or silent.
// It lives and ends with its store; what became of a Commit any store tells.
//
// A name is one store, and gRPC's to resolve, until it leads to several addresses; from
// then on each is a store. One that the name does not lead to any more takes no new
// transaction and is let go when it has none.
#ifndef RESTANTE_CLIENT_LIB_STORES_H_
#define RESTANTE_CLIENT_LIB_STORES_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "client/lib/connection.h"
#include "client/lib/connection_owner.h"
#include "client/lib/handlers.h"
#include "client/lib/store_names.h"
#include "client/lib/timer.h"
#include "restante/delivery.h"

namespace restante::client_internal {

// Any thread.
class Stores : public ConnectionOwner, public std::enable_shared_from_this<Stores> {
 public:
  template <typename Response>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

  Stores(ClientOptions options, std::shared_ptr<Resolver> resolver);

  // Begins to connect.
  void Start();
  // Ends everything; no call of a handler or a `done` is running or follows, but for
  // one that this is called from.
  void Stop();

  const std::shared_ptr<Handlers>& handlers() const { return handlers_; }

  // As DeliveryClient's. Begin: null if the transaction is lost already.
  std::shared_ptr<DeliverStream> Begin(const StatePtr& transaction, v1::Begin begin,
                                       absl::string_view first_recipient);
  void HandedOver(v1::HandedOver handed_over);
  void Settle(v1::GetReceiptRequest request, std::chrono::milliseconds patience,
              Done<v1::GetReceiptResponse> done);
  void CheckRecipient(v1::CheckRecipientRequest request, std::chrono::milliseconds patience,
                      Done<v1::CheckRecipientResponse> done);
  v1::Capacity capacity() const;
  bool connected() const;
  std::vector<StoreState> states() const;

  void OnCondition() override;
  void OnReceipts(Connection* connection, const std::string& transaction_id) override;

 private:
  using Time = std::chrono::steady_clock::time_point;
  using ConnectionPtr = std::shared_ptr<Connection>;

  struct Store {
    size_t name;   // Its place in names_.
    uint64_t key;  // PreferenceKey of its address.
    bool leaving;  // Its name leads elsewhere now.
    ConnectionPtr connection;
  };
  struct Settling;
  struct Checking;

  // All stores, the best for `mailbox` first. Without one, for `request_id`: that is at
  // random, for where the fewest transactions are open may be where all fail at once.
  std::vector<ConnectionPtr> Order(absl::string_view mailbox, absl::string_view request_id = "") const;
  // The first of Order that was not asked before; null if all were, or only they are there.
  static ConnectionPtr Next(const std::vector<ConnectionPtr>& order, const std::vector<ConnectionPtr>& asked);
  void Add(size_t name, std::string address, const std::string& known_as)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Has the names resolved, on threads of their own.
  void Resolve();
  void ResolveAgain();
  void OnResolved(size_t name, const absl::StatusOr<std::vector<std::string>>& addresses);
  // Lets go who leaves and has no transaction.
  void LetGo();
  void SetAlone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // stores_questions.cc.
  void AskReceipt(std::shared_ptr<Settling> settling);
  void OnReceipt(std::shared_ptr<Settling> settling, absl::StatusOr<v1::GetReceiptResponse> result);
  void AskCheck(std::shared_ptr<Checking> checking, absl::Status why);

  const ClientOptions options_;
  const std::shared_ptr<Resolver> resolver_;
  const std::shared_ptr<Handlers> handlers_;
  const std::shared_ptr<Timer> timer_;
  // More than one: only then is there something to choose.
  std::atomic<bool> several_{false};

  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  // Why there is no store at all.
  absl::Status none_ ABSL_GUARDED_BY(mutex_);
  std::vector<StoreName> names_ ABSL_GUARDED_BY(mutex_);
  std::vector<Store> stores_ ABSL_GUARDED_BY(mutex_);
  // Let go, and not yet handed back by gRPC.
  std::vector<ConnectionPtr> gone_ ABSL_GUARDED_BY(mutex_);
  size_t resolving_ ABSL_GUARDED_BY(mutex_) = 0;
  Time resolved_ ABSL_GUARDED_BY(mutex_);  // When that last began.
  // By whom the latest transactions were committed, and their ids, oldest first.
  absl::flat_hash_map<std::string, std::weak_ptr<Connection>> committed_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> committed_ids_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_STORES_H_
