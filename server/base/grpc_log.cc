#include "server/base/grpc_log.h"

#include <grpc/support/log.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/repeated_warning.h"

namespace restante {
namespace {

void Say(gpr_log_func_args* said) {
  static absl::Mutex mutex;
  static auto& warning = *new RepeatedWarning("gRPC says", Clock::System());
  absl::string_view file = said->file;
  file = file.substr(file.rfind('/') + 1);
  absl::MutexLock lock(&mutex);
  warning.Say(
      {{"text", absl::StripAsciiWhitespace(said->message)}, {"place", absl::StrCat(file, ":", said->line)}});
}

}  // namespace

void RouteGrpcLog() { gpr_set_log_function(Say); }

}  // namespace restante
