// Errors that explain themselves: absl::Status with the details that the API
// promises, as payloads under the type URLs of google.rpc.ErrorInfo and
// google.rpc.BadRequest (proto restante/v1/error.proto).
#ifndef RESTANTE_SERVER_MAIL_ERRORS_H_
#define RESTANTE_SERVER_MAIL_ERRORS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace restante::mail {

inline constexpr absl::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
inline constexpr absl::string_view kBadRequestUrl = "type.googleapis.com/google.rpc.BadRequest";

// `resource: text`, with an ErrorInfo of `reason` (UPPER_SNAKE_CASE, stable), the
// resource's name and `metadata`.
absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view resource,
                   absl::string_view text, std::map<std::string, std::string> metadata = {});

// kNotFound: `resource: not found`, NOT_FOUND.
absl::Status NotFound(absl::string_view resource);
// kAborted: an etag was given and it is not the current one, ETAG_MISMATCH.
absl::Status EtagMismatch(absl::string_view resource, absl::string_view current);
// kInvalidArgument: `field: text`, INVALID_ARGUMENT, with a BadRequest that names
// the field.
absl::Status InvalidField(absl::string_view field, absl::string_view text);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_ERRORS_H_
