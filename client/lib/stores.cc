#include "client/lib/stores.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/lib/preference.h"

namespace restante::client_internal {
namespace {

using std::chrono::steady_clock;

// How long Stop waits for gRPC to hand back cancelled calls.
constexpr absl::Duration kStopPatience = absl::Seconds(5);
// Whose committers are remembered for HandedOver.
constexpr size_t kMaxCommitted = 10'000;
// A store that goes away has its name resolved at once, but for one that does so
// again and again.
constexpr std::chrono::milliseconds kResolveAtMostEvery{500};

}  // namespace

Stores::Stores(ClientOptions options, std::shared_ptr<Resolver> resolver)
    : options_(std::move(options)),
      resolver_(std::move(resolver)),
      handlers_(std::make_shared<Handlers>(options_.executor)),
      timer_(std::make_shared<Timer>()) {}

void Stores::Start() {
  bool to_resolve = false;
  {
    absl::MutexLock lock(&mutex_);
    absl::StatusOr<std::vector<StoreName>> names = ParseStoreNames(options_.target);
    if (!names.ok()) {
      none_ = absl::UnavailableError(names.status().message());
      return;
    }
    names_ = *std::move(names);
    for (size_t i = 0; i < names_.size(); ++i) {
      Add(i, names_[i].target, "");
      to_resolve = to_resolve || names_[i].may_be_several();
    }
    SetAlone();
    for (const Store& store : stores_) store.connection->Start();
  }
  if (to_resolve) ResolveAgain();
}

void Stores::Stop() {
  timer_->Stop();
  std::vector<ConnectionPtr> connections;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    connections = gone_;
    for (const Store& store : stores_) connections.push_back(store.connection);
  }
  for (const ConnectionPtr& connection : connections) connection->Stop();
  // Called from a handler, the reaction that runs the handler would be waited
  // for; what is left then goes when gRPC hands it back.
  if (handlers_->Close()) return;
  for (const ConnectionPtr& connection : connections) connection->AwaitStopped(kStopPatience);
}

// --- which there are ------------------------------------------------------------

void Stores::Add(size_t name, std::string address, const std::string& known_as) {
  ClientOptions options = options_;
  options.target = std::move(address);
  const uint64_t key = PreferenceKey(options.target);
  stores_.push_back(
      {name, key, /*leaving=*/false,
       std::make_shared<Connection>(std::move(options), known_as, weak_from_this(), handlers_, timer_)});
}

void Stores::SetAlone() {
  several_ = stores_.size() > 1;
  for (const Store& store : stores_) store.connection->SetAlone(!several_);
}

void Stores::ResolveAgain() {
  Resolve();
  timer_->At(steady_clock::now() + options_.resolve_interval, [weak = weak_from_this()] {
    if (const std::shared_ptr<Stores> self = weak.lock()) self->ResolveAgain();
  });
}

void Stores::Resolve() {
  LetGo();
  absl::MutexLock lock(&mutex_);
  if (stopped_ || resolving_ > 0) return;
  resolved_ = steady_clock::now();
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!names_[i].may_be_several()) continue;
    auto resolve = [weak = weak_from_this(), resolver = resolver_, i, name = names_[i]] {
      const absl::StatusOr<std::vector<std::string>> addresses = resolver->Resolve(name.host, name.port);
      if (const std::shared_ptr<Stores> self = weak.lock()) self->OnResolved(i, addresses);
    };
    try {
      // Nobody waits for it: it may take as long as the system's patience with DNS.
      std::thread(std::move(resolve)).detach();
      ++resolving_;
    } catch (const std::system_error&) {
      // No thread can be had now; the next time comes soon.
    }
  }
}

void Stores::OnResolved(size_t name, const absl::StatusOr<std::vector<std::string>>& addresses) {
  absl::MutexLock lock(&mutex_);
  --resolving_;
  // Who cannot be found in DNS for a while is not cut off.
  if (stopped_ || !addresses.ok() || addresses->empty()) return;
  const auto named = [&](const Store& store) { return store.name == name; };
  const bool whole = std::any_of(stores_.begin(), stores_.end(), [&](const Store& store) {
    return named(store) && !store.leaving && store.connection->address() == names_[name].target;
  });
  if (whole && addresses->size() == 1) return;
  std::vector<std::string> fresh = *addresses;
  for (Store& store : stores_) {
    if (!named(store)) continue;
    const auto at = std::find(fresh.begin(), fresh.end(), store.connection->address());
    store.leaving = at == fresh.end();
    if (!store.leaving) fresh.erase(at);
  }
  const size_t before = stores_.size();
  const std::string known_as = absl::StrCat(names_[name].host, ":", names_[name].port);
  for (std::string& address : fresh) Add(name, std::move(address), known_as);
  SetAlone();
  for (size_t i = before; i < stores_.size(); ++i) stores_[i].connection->Start();
}

void Stores::LetGo() {
  std::vector<ConnectionPtr> leaving;
  {
    absl::MutexLock lock(&mutex_);
    gone_.erase(std::remove_if(gone_.begin(), gone_.end(),
                               [](const ConnectionPtr& c) { return c->AwaitStopped(absl::ZeroDuration()); }),
                gone_.end());
    const auto stays = [](const Store& store) { return !store.leaving || store.connection->load() > 0; };
    const auto first = std::stable_partition(stores_.begin(), stores_.end(), stays);
    for (auto at = first; at != stores_.end(); ++at) leaving.push_back(at->connection);
    stores_.erase(first, stores_.end());
    gone_.insert(gone_.end(), leaving.begin(), leaving.end());
    SetAlone();
  }
  for (const ConnectionPtr& connection : leaving) {
    connection->Stop();
    for (v1::HandedOver& handed_over : connection->TakeHandedOver()) HandedOver(std::move(handed_over));
  }
}

void Stores::OnCondition() {
  if (!several_) return;
  bool lost = false;
  std::deque<v1::HandedOver> waiting;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    const auto standing = [](const Store& store) {
      return store.connection->condition() >= Condition::kSilent;
    };
    const bool any = std::any_of(stores_.begin(), stores_.end(), standing);
    for (const Store& store : stores_) {
      if (standing(store)) continue;
      lost = steady_clock::now() - resolved_ >= kResolveAtMostEvery;
      // They do not wait for a store that may never come back, if there is another.
      if (!any) continue;
      for (v1::HandedOver& handed_over : store.connection->TakeHandedOver()) {
        waiting.push_back(std::move(handed_over));
      }
    }
  }
  for (v1::HandedOver& handed_over : waiting) HandedOver(std::move(handed_over));
  if (lost) Resolve();
}

// --- which of them ----------------------------------------------------------------

std::vector<Stores::ConnectionPtr> Stores::Order(absl::string_view mailbox,
                                                 absl::string_view request_id) const {
  absl::MutexLock lock(&mutex_);
  std::vector<ConnectionPtr> order;
  order.reserve(stores_.size());
  if (stores_.size() <= 1) {
    for (const Store& store : stores_) order.push_back(store.connection);
    return order;
  }
  std::vector<std::tuple<Condition, uint64_t, size_t>> ranks;
  const uint64_t key = mailbox.empty() ? PreferenceKey(request_id) : MailboxKey(mailbox);
  for (size_t i = 0; i < stores_.size(); ++i) {
    const Store& store = stores_[i];
    Condition condition = store.connection->condition();
    // Good enough while those that take its place are not there yet.
    if (store.leaving) condition = std::min(condition, Condition::kSilent);
    ranks.emplace_back(condition, Weight(key, store.key), i);
  }
  std::sort(ranks.rbegin(), ranks.rend());
  for (const auto& [condition, weight, i] : ranks) order.push_back(stores_[i].connection);
  return order;
}

std::shared_ptr<DeliverStream> Stores::Begin(const StatePtr& transaction, v1::Begin begin,
                                             absl::string_view first_recipient) {
  absl::Status all;
  for (const ConnectionPtr& connection : Order(first_recipient, begin.request_id())) {
    absl::Status why;
    if (auto stream = connection->Begin(transaction, &begin, &why)) return stream;
    all = all.ok() ? why : absl::Status(all.code(), absl::StrCat(all.message(), "; ", why.message()));
  }
  if (all.ok()) {
    absl::MutexLock lock(&mutex_);
    all = none_;
  }
  handlers_->Lost(transaction, std::move(all), /*commit_sent=*/false);
  return nullptr;
}

void Stores::OnReceipts(Connection* connection, const std::string& transaction_id) {
  if (!several_) return;
  absl::MutexLock lock(&mutex_);
  if (!committed_.insert_or_assign(transaction_id, connection->weak_from_this()).second) return;
  committed_ids_.push_back(transaction_id);
  if (committed_ids_.size() <= kMaxCommitted) return;
  committed_.erase(committed_ids_.front());
  committed_ids_.pop_front();
}

void Stores::HandedOver(v1::HandedOver handed_over) {
  ConnectionPtr committer;
  if (several_) {
    absl::MutexLock lock(&mutex_);
    const auto found = committed_.find(handed_over.transaction_id());
    if (found != committed_.end()) committer = found->second.lock();
  }
  if (committer == nullptr || committer->condition() < Condition::kSilent) {
    const std::vector<ConnectionPtr> order =
        Order(handed_over.mailboxes().empty() ? "" : handed_over.mailboxes(0), handed_over.transaction_id());
    if (order.empty()) return;
    committer = order.front();
  }
  committer->HandedOver(std::move(handed_over));
}

// --- the whole --------------------------------------------------------------------

v1::Capacity Stores::capacity() const {
  absl::MutexLock lock(&mutex_);
  const auto best = std::max_element(stores_.begin(), stores_.end(), [](const Store& a, const Store& b) {
    return a.connection->condition() < b.connection->condition();
  });
  return best == stores_.end() ? v1::Capacity() : best->connection->capacity();
}

bool Stores::connected() const {
  absl::MutexLock lock(&mutex_);
  return std::any_of(stores_.begin(), stores_.end(), [](const Store& store) {
    const Condition condition = store.connection->condition();
    return condition != Condition::kAway && condition != Condition::kConnecting;
  });
}

std::vector<StoreState> Stores::states() const {
  absl::MutexLock lock(&mutex_);
  std::vector<StoreState> states;
  for (const Store& store : stores_) {
    StoreState& state = states.emplace_back();
    state.address = store.connection->address();
    state.up = store.connection->condition() == Condition::kReady;
    state.transactions = store.connection->begun();
    state.open = store.connection->load();
  }
  return states;
}

}  // namespace restante::client_internal
