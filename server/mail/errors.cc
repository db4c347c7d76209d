#include "server/mail/errors.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "restante/v1/error.pb.h"

namespace restante::mail {

absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view resource,
                   absl::string_view text, std::map<std::string, std::string> metadata) {
  v1::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("restante");
  if (!resource.empty()) (*info.mutable_metadata())["resource"] = std::string(resource);
  for (auto& [name, value] : metadata) (*info.mutable_metadata())[name] = std::move(value);
  absl::Status status(code, resource.empty() ? std::string(text) : absl::StrCat(resource, ": ", text));
  status.SetPayload(kErrorInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status NotFound(absl::string_view resource) {
  return Error(absl::StatusCode::kNotFound, "NOT_FOUND", resource, "not found");
}

absl::Status EtagMismatch(absl::string_view resource, absl::string_view current) {
  return Error(absl::StatusCode::kAborted, "ETAG_MISMATCH", resource,
               absl::StrCat("has changed since the etag given: it is ", current, " now"));
}

absl::Status InvalidField(absl::string_view field, absl::string_view text) {
  absl::Status status =
      Error(absl::StatusCode::kInvalidArgument, "INVALID_ARGUMENT", "", absl::StrCat(field, ": ", text));
  v1::BadRequest details;
  v1::BadRequest::FieldViolation& violation = *details.add_field_violations();
  violation.set_field(std::string(field));
  violation.set_description(std::string(text));
  status.SetPayload(kBadRequestUrl, absl::Cord(details.SerializeAsString()));
  return status;
}

}  // namespace restante::mail
