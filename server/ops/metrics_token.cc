#include "server/ops/metrics_token.h"

#include <utility>

#include "server/access/token.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"

namespace restante::ops {

absl::StatusOr<std::unique_ptr<MetricsToken>> MetricsToken::Load(std::string file) {
  ASSIGN_OR_RETURN(std::string token, access::ReadToken(file));
  return std::unique_ptr<MetricsToken>(new MetricsToken(std::move(file), std::move(token)));
}

bool MetricsToken::Is(absl::string_view password) {
  absl::MutexLock lock(&mutex_);
  absl::StatusOr<std::string> now = access::ReadToken(file_);
  const bool was_useless = std::exchange(useless_, !now.ok());
  if (now.ok()) {
    token_ = *std::move(now);
  } else if (!was_useless) {
    Log(LogLevel::kWarning, "the token for /metrics stays as it was",
        {{"reason", std::string(now.status().message())}});
  }
  // By their hashes, which takes the same time whatever they are.
  return access::TokenHash::Of(password) == access::TokenHash::Of(token_);
}

std::function<bool(absl::string_view)> MetricsToken::Check(MetricsToken* token) {
  if (token == nullptr) return nullptr;
  return [token](absl::string_view password) { return token->Is(password); };
}

}  // namespace restante::ops
