#include "server/rpc/errors.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "restante/v1/error.pb.h"
#include "server/base/log.h"
#include "server/mail/errors.h"

namespace restante::rpc {
namespace {

grpc::StatusCode CodeOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kCancelled:
      return grpc::StatusCode::UNAVAILABLE;
    case absl::StatusCode::kUnknown:
      return grpc::StatusCode::INTERNAL;
    default:
      // The numbers are the same in both.
      return static_cast<grpc::StatusCode>(code);
  }
}

std::string NameOf(grpc::StatusCode code) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const grpc::StatusCode code = CodeOf(status.code());
  const std::string message(status.message());
  if (code == grpc::StatusCode::INTERNAL) Log(LogLevel::kError, "internal error", {{"error", message}});

  v1::ErrorStatus details;
  details.set_code(code);
  details.set_message(message);
  bool has_info = false;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    google::protobuf::Any& any = *details.add_details();
    any.set_type_url(std::string(url));
    any.set_value(std::string(value));
    has_info = has_info || url == mail::kErrorInfoUrl;
  });
  if (!has_info) {
    v1::ErrorInfo info;
    info.set_reason(NameOf(code));
    info.set_domain("restante");
    google::protobuf::Any& any = *details.add_details();
    any.set_type_url(std::string(mail::kErrorInfoUrl));
    any.set_value(info.SerializeAsString());
  }
  return grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace restante::rpc
