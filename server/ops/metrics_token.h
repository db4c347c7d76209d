// The bearer token that /metrics asks for, from a file that may change meanwhile.
#ifndef RESTANTE_SERVER_OPS_METRICS_TOKEN_H_
#define RESTANTE_SERVER_OPS_METRICS_TOKEN_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace restante::ops {

// Any thread.
class MetricsToken {
 public:
  // kFailedPrecondition: `FILE`: what is wrong with it.
  static absl::StatusOr<std::unique_ptr<MetricsToken>> Load(std::string file);

  // Whether `password` is the token. The file is read each time: scrapes are rare.
  // Of what is of no use the first is logged, and the last good token stays.
  bool Is(absl::string_view password);

  // The same as a function that lives as long as `token`; none for null.
  static std::function<bool(absl::string_view)> Check(MetricsToken* token);

 private:
  MetricsToken(std::string file, std::string token) : file_(std::move(file)), token_(std::move(token)) {}

  const std::string file_;
  absl::Mutex mutex_;
  std::string token_ ABSL_GUARDED_BY(mutex_);
  bool useless_ ABSL_GUARDED_BY(mutex_) = false;  // What the file had when it was last read.
};

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_METRICS_TOKEN_H_
