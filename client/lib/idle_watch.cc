#include "client/lib/idle_watch.h"

#include <grpcpp/client_context.h>

#include <algorithm>

namespace restante::client_internal {
namespace {

// How many times it looks in the while that nothing may come.
constexpr int kLooks = 8;

}  // namespace

IdleWatch::Patience::Patience(IdleWatch* watch, grpc::ClientContext* context)
    : watch_(watch), context_(context) {
  absl::MutexLock lock(&watch_->mutex_);
  watch_->streams_.insert(this);
  watch_->Plan();
}

bool IdleWatch::Patience::Over() {
  absl::MutexLock lock(&watch_->mutex_);
  watch_->streams_.erase(this);
  return expired_;
}

void IdleWatch::Plan() {
  // (An alarm that finds no stream is the last one, and until then no new one is needed.)
  if (planned_) return;
  planned_ = true;
  timer_->At(std::chrono::steady_clock::now() + std::max(idle_ / kLooks, std::chrono::milliseconds(1)),
             [weak = weak_from_this()] {
               if (const std::shared_ptr<IdleWatch> self = weak.lock()) self->Ring();
             });
}

void IdleWatch::Ring() {
  absl::MutexLock lock(&mutex_);
  planned_ = false;
  const Time since = std::chrono::steady_clock::now() - idle_;
  for (Patience* stream : streams_) {
    if (stream->expired_ || stream->heard_.load(std::memory_order_relaxed) > since) continue;
    stream->expired_ = true;
    stream->context_->TryCancel();
  }
  if (!streams_.empty()) Plan();
}

}  // namespace restante::client_internal
