#include "client/policy/policy_request.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/smtp/reply.h"
#include "server/base/status_macros.h"

namespace restante::policy {
namespace {

constexpr absl::string_view kAccessPolicy = "smtpd_access_policy";

std::optional<uint64_t> ParseSize(absl::string_view text) {
  uint64_t size = 0;
  if (!absl::SimpleAtoi(text, &size) || size == 0) return std::nullopt;
  return size;
}

}  // namespace

absl::StatusOr<size_t> PolicyRequestParser::Consume(absl::string_view in) {
  size_t used = 0;
  while (used < in.size() && !complete_) {
    const size_t newline = in.find('\n', used);
    const absl::string_view piece = in.substr(used, newline == in.npos ? in.npos : newline - used);
    if (line_.size() + piece.size() > kMaxLine) {
      return absl::InvalidArgumentError(absl::StrCat("a line has more than ", kMaxLine, " octets"));
    }
    absl::StrAppend(&line_, piece);
    if (newline == in.npos) return in.size();
    used = newline + 1;
    RETURN_IF_ERROR(TakeLine(line_));
    line_.clear();
  }
  return used;
}

absl::Status PolicyRequestParser::TakeLine(absl::string_view line) {
  octets_ += line.size() + 1;
  if (octets_ > kMaxRequest) {
    return absl::InvalidArgumentError(absl::StrCat("a request has more than ", kMaxRequest, " octets"));
  }
  if (line.empty()) return Finish();
  if (++attributes_ > kMaxAttributes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request has more than ", kMaxAttributes, " attributes"));
  }
  const size_t equals = line.find('=');
  if (equals == line.npos || equals == 0 || line.find('\0') != line.npos) {
    return absl::InvalidArgumentError(absl::StrCat("`", smtp::Shorten(line), "` is no attribute name=value"));
  }
  const absl::string_view name = line.substr(0, equals);
  const absl::string_view value = line.substr(equals + 1);
  // Of a name that comes twice the last value counts, as the protocol allows.
  if (name == "request") {
    type_ = std::string(value);
  } else if (name == "protocol_state") {
    request_.protocol_state = std::string(value);
  } else if (name == "sender") {
    request_.sender = std::string(value);
  } else if (name == "recipient") {
    request_.recipient = std::string(value);
  } else if (name == "size") {
    request_.size = ParseSize(value);
  } else if (name == "client_address") {
    request_.client_address = std::string(value);
  } else if (name == "helo_name") {
    request_.helo_name = std::string(value);
  } else if (name == "instance") {
    request_.instance = std::string(value);
  }
  return absl::OkStatus();
}

absl::Status PolicyRequestParser::Finish() {
  if (!type_.has_value()) return absl::InvalidArgumentError("a request has no attribute `request`");
  if (*type_ != kAccessPolicy) {
    return absl::InvalidArgumentError(
        absl::StrCat("request `", smtp::Shorten(*type_), "` is not ", kAccessPolicy));
  }
  complete_ = true;
  return absl::OkStatus();
}

PolicyRequest PolicyRequestParser::Take() {
  PolicyRequest request = std::exchange(request_, {});
  type_.reset();
  octets_ = attributes_ = 0;
  complete_ = false;
  return request;
}

}  // namespace restante::policy
