#include "server/rpc/health.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace restante::rpc {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

void Health::Stop() {
  absl::flat_hash_map<uint64_t, absl::AnyInvocable<void(bool)>> waiters;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    waiters.swap(waiters_);
  }
  for (auto& [number, wake] : waiters) wake(true);
}

bool Health::Stopping() {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

bool Health::Knows(const std::string& service) const {
  return service.empty() || std::find(services_.begin(), services_.end(), service) != services_.end();
}

Task<absl::Status> Health::Check(Health* health, const HealthCheckRequest* request,
                                 HealthCheckResponse* response) {
  if (!health->Knows(request->service())) {
    co_return absl::NotFoundError(absl::StrCat(request->service(), ": there is no such service"));
  }
  response->set_status(health->Stopping() ? HealthCheckResponse::NOT_SERVING : HealthCheckResponse::SERVING);
  co_return absl::OkStatus();
}

Task<absl::Status> Health::Watch(Health* health, Call& call, const HealthCheckRequest* request) {
  const bool known = health->Knows(request->service());
  bool stopping = health->Stopping();
  while (true) {
    HealthCheckResponse response;
    response.set_status(!known     ? HealthCheckResponse::SERVICE_UNKNOWN
                        : stopping ? HealthCheckResponse::NOT_SERVING
                                   : HealthCheckResponse::SERVING);
    if (!co_await call.Write(response)) co_return absl::CancelledError("the caller went away");
    if (stopping) co_return absl::UnavailableError("the server stops");
    stopping = co_await health->Change(call);
    if (!stopping) co_return absl::CancelledError("the caller went away");
  }
}

Await<bool> Health::Change(Call& call) {
  return Await<bool>([this, &call](auto done) {
    uint64_t waiter;
    {
      absl::ReleasableMutexLock lock(&mutex_);
      if (stopping_) {
        lock.Release();
        return done(true);
      }
      waiter = ++last_waiter_;
      waiters_.emplace(waiter, std::move(done));
    }
    // (Whoever wakes it meanwhile: it goes on when this has returned, and not before.)
    call.OnGone([this, waiter] { Wake(waiter); });
  });
}

void Health::Wake(uint64_t waiter) {
  absl::AnyInvocable<void(bool)> wake;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = waiters_.find(waiter);
    if (it == waiters_.end()) return;
    wake = std::move(it->second);
    waiters_.erase(it);
  }
  wake(false);
}

}  // namespace restante::rpc
