#include "server/rpc/server.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/base/status_macros.h"

namespace restante::rpc {
namespace {

// One gRPC message of a Deliver stream; other calls stay far below.
constexpr int kMaxMessage = 1 << 20;

// A queue feeds some four cores: what its calls ask for is done by the engine's
// threads.
size_t Queues() { return std::clamp<size_t>(std::thread::hardware_concurrency() / 4, 1, 8); }

void Drain(grpc::ServerCompletionQueue* queue) {
  void* tag;
  bool ok;
  while (queue->Next(&tag, &ok)) static_cast<Completion*>(tag)->Complete(ok);
}

}  // namespace

Server::Server(access::Authorizer* authorizer)
    : open_(authorizer == nullptr ? std::make_unique<access::Authorizer>(Clock::System()) : nullptr),
      authorizer_(authorizer == nullptr ? open_.get() : authorizer) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options, Methods methods) {
  std::unique_ptr<Server> out(new Server(options.authorizer));
  RETURN_IF_ERROR(out->AddMethods(std::move(methods)));
  grpc::ServerBuilder builder;
  if (!options.listen.empty()) builder.AddListeningPort(options.listen, options.credentials, &out->port_);
  builder.SetMaxReceiveMessageSize(kMaxMessage);
  // Two stores on one address would share its callers at random.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.RegisterAsyncGenericService(&out->service_);
  for (size_t i = 0; i < Queues(); ++i) out->queues_.push_back(builder.AddCompletionQueue());
  out->server_ = builder.BuildAndStart();
  if (!out->server_ || (!options.listen.empty() && out->port_ == 0)) {
    return absl::UnavailableError(
        absl::StrCat(options.listen, ": the address cannot be had; is another program using it?"));
  }
  for (const auto& queue : out->queues_) {
    out->Accept(queue.get());
    out->threads_.emplace_back(Drain, queue.get());
  }
  return out;
}

absl::Status Server::AddMethods(Methods methods) {
  for (Method& method : methods) {
    std::string path = absl::StrCat("/", method.name);
    if (method.rule.roles.empty()) {
      return absl::InternalError(absl::StrCat(path, ": its row in the table of methods names no role"));
    }
    if (!methods_.emplace(path, std::move(method)).second) {
      return absl::InternalError(absl::StrCat(path, ": has two rows in the table of methods"));
    }
  }
  for (const auto& [path, method] : methods_) {
    const std::string service = method.name.substr(0, method.name.find('/'));
    const auto* described = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
    for (int i = 0; described != nullptr && i < described->method_count(); ++i) {
      const std::string sibling = absl::StrCat("/", service, "/", described->method(i)->name());
      if (!methods_.contains(sibling)) {
        return absl::InternalError(absl::StrCat(sibling, ": has no row in the table of methods"));
      }
    }
  }
  return absl::OkStatus();
}

Server::~Server() {
  // Also one that never started has queues, which are to be shut down and emptied.
  if (server_) Shutdown(std::chrono::system_clock::now());
  for (const auto& queue : queues_) queue->Shutdown();
  for (std::thread& thread : threads_) thread.join();
  if (threads_.empty()) {
    for (const auto& queue : queues_) Drain(queue.get());
  }
}

void Server::Shutdown(std::chrono::system_clock::time_point deadline) {
  server_->Shutdown(deadline);
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](size_t* calls) { return *calls == 0; }, &calls_));
}

void Server::Accept(grpc::ServerCompletionQueue* queue) {
  std::make_shared<Call>(this, queue)->Accept(&service_);
}

const Method* Server::Find(absl::string_view path) const {
  const auto it = methods_.find(path);
  return it == methods_.end() ? nullptr : &it->second;
}

void Server::CallBegan() {
  absl::MutexLock lock(&mutex_);
  ++calls_;
}

void Server::CallEnded() {
  absl::MutexLock lock(&mutex_);
  --calls_;
}

}  // namespace restante::rpc
