// The gRPC server: an address, a table of methods, and completion queues with one
// thread each.
//
// gRPC's callback API has two threads or more. Of all threads that wait in a
// process, one polls, and whenever it has something to do it first wakes the next
// to poll: a switch of threads for every message. So nothing here uses callbacks,
// nor what comes with threads of its own (gRPC's health, reflection and channelz
// services: rpc/health.h, rpc/reflection.h, rpc/channelz.h stand in their place).
#ifndef RESTANTE_SERVER_RPC_SERVER_H_
#define RESTANTE_SERVER_RPC_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/access/authorizer.h"
#include "server/rpc/method.h"

namespace restante::rpc {

class Server {
 public:
  struct Options {
    // `HOST:PORT` or `unix:PATH`; empty: only InProcessChannel leads to it.
    std::string listen;
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    // Decides about every call; outlives the server. Null: everyone may call
    // everything.
    access::Authorizer* authorizer = nullptr;
  };

  // kUnavailable: the address cannot be had. kInternal: a service of the table has a
  // method without a row, two rows are of one method, or one names no role.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options, Methods methods);
  // Ends every call.
  ~Server();

  // The port that it listens at, 0 for none.
  int port() const { return port_; }
  std::shared_ptr<grpc::Channel> InProcessChannel() {
    return server_->InProcessChannel(grpc::ChannelArguments());
  }

  // Takes no more calls, cancels at `deadline` those that still run, and returns
  // when all have ended.
  void Shutdown(std::chrono::system_clock::time_point deadline);

 private:
  friend class Call;

  explicit Server(access::Authorizer* authorizer);
  absl::Status AddMethods(Methods methods);
  void Accept(grpc::ServerCompletionQueue* queue);
  const Method* Find(absl::string_view path) const;
  void CallBegan();
  void CallEnded();

  std::unique_ptr<access::Authorizer> open_;  // Without another.
  access::Authorizer* const authorizer_;
  absl::flat_hash_map<std::string, Method> methods_;  // By path: with a slash in front.
  grpc::AsyncGenericService service_;
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::thread> threads_;
  int port_ = 0;

  absl::Mutex mutex_;
  size_t calls_ ABSL_GUARDED_BY(mutex_) = 0;  // Those that are waited for, too.
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_SERVER_H_
