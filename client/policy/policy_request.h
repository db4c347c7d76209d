// Requests of Postfix's policy delegation protocol (SMTPD_POLICY_README): lines
// `name=value`, ended by an empty one.
#ifndef RESTANTE_CLIENT_POLICY_POLICY_REQUEST_H_
#define RESTANTE_CLIENT_POLICY_POLICY_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::policy {

// The attributes that decide or are logged, as the MTA sent them; empty if it
// did not.
struct PolicyRequest {
  // RCPT, END-OF-MESSAGE and others.
  std::string protocol_state;
  std::string sender;
  // Empty at END-OF-MESSAGE if there were several.
  std::string recipient;
  // What was declared at RCPT, what came at END-OF-MESSAGE. Nothing if that is
  // absent, 0 or no number: Exim says -1 for unknown.
  std::optional<uint64_t> size;
  std::string client_address;
  std::string helo_name;
  // Names one delivery.
  std::string instance;
};

// Finds requests in octets, however they are split.
class PolicyRequestParser {
 public:
  // Without its line end; Postfix itself stays below 2048.
  static constexpr size_t kMaxLine = 8 * 1024;
  // Postfix sends about 40.
  static constexpr size_t kMaxAttributes = 200;
  static constexpr size_t kMaxRequest = 64 * 1024;

  // Takes octets up to the end of a request and returns how many: fewer than
  // there are only if one is complete. kInvalidArgument, with what is wrong, for
  // octets that are no such request or exceed the bounds; the parser is then
  // of no more use.
  absl::StatusOr<size_t> Consume(absl::string_view in);

  // Whether Take has a request to give; nothing is consumed until it was called.
  bool complete() const { return complete_; }
  PolicyRequest Take();

  // Whether a request has begun and is not complete.
  bool within_request() const { return !complete_ && (octets_ > 0 || !line_.empty()); }

 private:
  absl::Status TakeLine(absl::string_view line);
  absl::Status Finish();

  std::string line_;  // Of which no end was seen yet.
  std::optional<std::string> type_;
  PolicyRequest request_;
  size_t octets_ = 0;
  size_t attributes_ = 0;
  bool complete_ = false;
};

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_POLICY_REQUEST_H_
