// The policy protocol on one connection.
#ifndef RESTANTE_CLIENT_POLICY_POLICY_RESPONDER_H_
#define RESTANTE_CLIENT_POLICY_POLICY_RESPONDER_H_

#include <string>

#include "client/policy/responder.h"

namespace restante::policy {

class PolicyResponder : public Responder {
 public:
  explicit PolicyResponder(const Host* host) : host_(host) {}

  absl::StatusOr<size_t> Consume(absl::string_view in) override { return parser_.Consume(in); }
  bool complete() const override { return parser_.complete(); }
  bool within_request() const override { return parser_.within_request(); }
  void Answer(absl::AnyInvocable<void(std::string)> done) override;

 private:
  const Host* const host_;
  PolicyRequestParser parser_;
};

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_POLICY_RESPONDER_H_
