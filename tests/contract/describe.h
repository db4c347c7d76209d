// Results of the engine port as one line each, so that a test compares sentences.
#ifndef RESTANTE_TESTS_CONTRACT_DESCRIBE_H_
#define RESTANTE_TESTS_CONTRACT_DESCRIBE_H_

#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/engine/engine.h"

namespace restante::engine {

// `mailbox: needs 20 bytes, 0 used and 90 reserved of 100`, with `, full` if it
// would not fit without reservations either.
inline std::string Describe(const Shortage& s) {
  const char* const scopes[] = {"nothing", "mailbox", "domain", "disk"};
  return absl::StrCat(scopes[static_cast<int>(s.scope)], ": needs ", s.needed,
                      s.counts_messages ? " messages, " : " bytes, ", s.used, " used and ", s.reserved,
                      " reserved of ", s.limit, s.full_without_reservations ? ", full" : "");
}
inline std::string Describe(const Granted& g) { return absl::StrCat("granted ", g.bytes); }
inline std::string Describe(const TooManyDeliveries& t) { return absl::StrCat("too many: ", t.limit); }
inline std::string Describe(const Opened&) { return "opened"; }
inline std::string Describe(const InUse&) { return "in use"; }
inline std::string Describe(const stored::Receipt& r) { return r.committed() ? "receipt" : "tombstone"; }
inline std::string Describe(const absl::Status& s) {
  return s.ok() ? "ok" : absl::StatusCodeToString(s.code());
}

template <typename... T>
std::string Describe(const std::variant<T...>& v) {
  return std::visit([](const auto& value) { return Describe(value); }, v);
}

// `confirmed` or `extended`, then what was lost.
inline std::string Describe(const char* what, const std::vector<Lost>& lost,
                            const std::optional<Shortage>& disk) {
  std::string text = what;
  if (disk) absl::StrAppend(&text, "; ", Describe(*disk));
  for (const Lost& loss : lost)
    absl::StrAppend(&text, "; ", loss.mailbox, " lost, ", Describe(loss.shortage));
  return text;
}
inline std::string Describe(const Confirmed& c) { return Describe("confirmed", c.lost, c.disk); }
inline std::string Describe(const Extended& e) { return Describe("extended", e.lost, e.disk); }

template <typename T>
std::string Describe(const absl::StatusOr<T>& v) {
  return v.ok() ? Describe(*v) : Describe(v.status());
}

inline stored::Limit ValueOf(uint64_t value) {
  stored::Limit limit;
  limit.set_kind(stored::Limit::VALUE);
  limit.set_value(value);
  return limit;
}
inline stored::Limit Unlimited() {
  stored::Limit limit;
  limit.set_kind(stored::Limit::UNLIMITED);
  return limit;
}

// The id of transaction number `n` of a test.
inline TransactionId Id(uint64_t n) {
  TransactionId id;
  for (int i = 0; i < 8; ++i) id.octets[i] = static_cast<uint8_t>(n >> (8 * i));
  return id;
}

}  // namespace restante::engine

#endif  // RESTANTE_TESTS_CONTRACT_DESCRIBE_H_
