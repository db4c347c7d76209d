// The socketmap protocol on one connection.
#ifndef RESTANTE_CLIENT_POLICY_SOCKETMAP_RESPONDER_H_
#define RESTANTE_CLIENT_POLICY_SOCKETMAP_RESPONDER_H_

#include <optional>
#include <string>

#include "client/policy/netstring.h"
#include "client/policy/responder.h"
#include "client/policy/socketmap_request.h"

namespace restante::policy {

class SocketmapResponder : public Responder {
 public:
  explicit SocketmapResponder(const Host* host) : host_(host) {}

  absl::StatusOr<size_t> Consume(absl::string_view in) override;
  bool complete() const override { return request_.has_value(); }
  bool within_request() const override { return parser_.within(); }
  void Answer(absl::AnyInvocable<void(std::string)> done) override;

 private:
  const Host* const host_;
  NetstringParser parser_;
  std::optional<SocketmapRequest> request_;
};

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_SOCKETMAP_RESPONDER_H_
