#include "client/policy/socketmap_request.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/smtp/reply.h"

namespace restante::policy {

absl::StatusOr<SocketmapRequest> ParseSocketmapRequest(absl::string_view text) {
  const size_t blank = text.find(' ');
  if (blank == text.npos || blank == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", smtp::Shorten(text), "` is no request of a map's name, a blank and a key"));
  }
  return SocketmapRequest{std::string(text.substr(0, blank)), std::string(text.substr(blank + 1))};
}

}  // namespace restante::policy
