#include "restante/errors.h"

#include <string>

#include "absl/strings/cord.h"
#include "client/lib/grpc_status.h"

namespace restante {
namespace {

constexpr char kErrorInfo[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kBadRequest[] = "type.googleapis.com/google.rpc.BadRequest";

template <typename Message>
std::optional<Message> Payload(const absl::Status& status, const char* type_url) {
  absl::optional<absl::Cord> payload = status.GetPayload(type_url);
  Message message;
  if (!payload.has_value() || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  return message;
}

}  // namespace

std::optional<v1::ErrorInfo> GetErrorInfo(const absl::Status& status) {
  return Payload<v1::ErrorInfo>(status, kErrorInfo);
}

std::optional<v1::BadRequest> GetBadRequest(const absl::Status& status) {
  return Payload<v1::BadRequest>(status, kBadRequest);
}

bool IsUnreachable(const absl::Status& status) {
  return (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) && !GetErrorInfo(status);
}

namespace client_internal {

absl::Status ToStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  int code = static_cast<int>(status.error_code());
  // The two enums agree by definition, from CANCELLED (1) to UNAUTHENTICATED (16).
  if (code < 1 || code > 16) code = static_cast<int>(absl::StatusCode::kUnknown);
  absl::Status result(static_cast<absl::StatusCode>(code), status.error_message());
  v1::ErrorStatus details;
  if (!status.error_details().empty() && details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : details.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

}  // namespace client_internal
}  // namespace restante
