// Netstrings: `5:hello,` (https://cr.yp.to/proto/netstrings.txt).
#ifndef RESTANTE_CLIENT_POLICY_NETSTRING_H_
#define RESTANTE_CLIENT_POLICY_NETSTRING_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::policy {

std::string ToNetstring(absl::string_view text);

// Finds netstrings in octets, however they are split.
class NetstringParser {
 public:
  // Of the text: what Postfix allows (socketmap_table(5)).
  static constexpr size_t kMaxText = 100'000;

  // Takes octets up to the end of a netstring and returns how many: fewer than
  // there are only if one is complete. kInvalidArgument, with what is wrong, for
  // octets that are none; the parser is then of no more use.
  absl::StatusOr<size_t> Consume(absl::string_view in);

  // Whether Take has a text to give; nothing is consumed until it was called.
  bool complete() const { return place_ == Place::kComplete; }
  std::string Take();

  // Whether a netstring has begun and is not complete.
  bool within() const { return !complete() && !(place_ == Place::kLength && digits_ == 0); }

 private:
  enum class Place { kLength, kText, kComma, kComplete };

  Place place_ = Place::kLength;
  size_t digits_ = 0;
  size_t length_ = 0;
  // Grows with what has come, not with what was announced.
  std::string text_;
};

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_NETSTRING_H_
