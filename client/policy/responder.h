// What is spoken on one connection, without I/O: octets in, a reply to each
// request out.
#ifndef RESTANTE_CLIENT_POLICY_RESPONDER_H_
#define RESTANTE_CLIENT_POLICY_RESPONDER_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/policy/policy_decision.h"
#include "client/policy/policy_request.h"
#include "restante/delivery.h"

namespace restante::policy {

// A request of the policy protocol that was not answered with DUNNO.
struct Refusal {
  PolicyRequest request;
  // With the outcome and what was short; no outcome if the store did not answer.
  v1::Decision decision;
  std::string action;
};

// What responders share; all of it outlives them. Called on the thread of the
// store's executor.
struct Host {
  DeliveryClient* store = nullptr;
  // How long the store's word is waited for; below the patience that the MTA has
  // with us, or its default would stand for our answer.
  std::chrono::milliseconds patience{3'000};
  WhenUnavailable when_unavailable = WhenUnavailable::kDunno;
  // A local part that no mailbox has (see socketmap_answer.h).
  std::string nobody;
  std::function<void(const Refusal&)> on_refusal;
  // The store did not answer.
  std::function<void(const absl::Status&)> on_unavailable;
};

class Responder {
 public:
  virtual ~Responder() = default;

  // Takes octets up to the end of a request and returns how many: fewer than
  // there are only if one is complete. kInvalidArgument, with what is wrong: the
  // peer speaks something else, and there is nothing to answer.
  virtual absl::StatusOr<size_t> Consume(absl::string_view in) = 0;

  // Whether a request waits for Answer; nothing is consumed until then.
  virtual bool complete() const = 0;

  // Whether a request has begun and is not complete.
  virtual bool within_request() const = 0;

  // Answers the complete request. `done` gets the octets to be sent, from within
  // or later, within the host's patience; it is not called if the store's client
  // is destroyed before.
  virtual void Answer(absl::AnyInvocable<void(std::string)> done) = 0;
};

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_RESPONDER_H_
