// The gRPC channel that ClientOptions ask for, and the credentials of its calls.
#ifndef RESTANTE_CLIENT_LIB_CHANNEL_H_
#define RESTANTE_CLIENT_LIB_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "restante/delivery.h"
#include "server/base/file_watch.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace restante::client_internal {

// Keepalive and back-off as told; gRPC itself repeats no call, and a channel does
// not connect before its first. Any thread.
class Channels {
 public:
  // To `options.target`. `name`: as what it is known where that is not the target itself
  // but an address of it: `HOST:PORT`, which its certificate has to be for.
  explicit Channels(const ClientOptions& options, const std::string& name = "");

  // The channel for calls to come; the same until Renew finds other files. Null,
  // and `why` told, as long as none of the files was ever of use.
  std::shared_ptr<grpc::Channel> Current(absl::Status* why) const;

  // Looks whether files have changed; to be called now and then.
  void Look();
  // Makes another channel if Look found other files, and they fit together.
  void Renew();

  // Adds the token to a call.
  void Authenticate(grpc::ClientContext* context);

 private:
  void Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReadToken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ClientOptions options_;
  const std::string name_;
  mutable absl::Mutex mutex_;
  FileWatch watch_ ABSL_GUARDED_BY(mutex_);
  FileWatch token_watch_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mutex_);
  absl::Status token_why_ ABSL_GUARDED_BY(mutex_);
  std::string token_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_CHANNEL_H_
