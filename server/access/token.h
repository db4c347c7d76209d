// Bearer tokens (RFC 6750): who shows one is the caller that it was made for.
//
// A token is 256 random bits in 43 letters behind `restante_`, by which scanners
// for lost secrets know it. The store keeps its SHA-256 only; that needs no salt
// and no stretching, for nobody can try out 2^256 tokens.
#ifndef RESTANTE_SERVER_ACCESS_TOKEN_H_
#define RESTANTE_SERVER_ACCESS_TOKEN_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::access {

// 128 bits in base64, the least that is taken: a password would be found by trial.
inline constexpr size_t kMinToken = 22;
inline constexpr size_t kMaxToken = 512;

std::string NewToken();

// kInvalidArgument, without the token, unless it has kMinToken to kMaxToken
// characters that RFC 6750 allows (letters, digits, `-._~+/`, and `=` at the end).
absl::Status CheckToken(absl::string_view token);

// The token in a file, without the blanks around it. kFailedPrecondition: the file's
// name and what is wrong with it, without the token.
absl::StatusOr<std::string> ReadToken(const std::string& file);

// The SHA-256 of a token.
class TokenHash {
 public:
  static TokenHash Of(absl::string_view token);
  // From 64 hexadecimal digits; kInvalidArgument for anything else.
  static absl::StatusOr<TokenHash> Parse(absl::string_view hex);

  // 64 hexadecimal digits in lower case.
  std::string ToString() const;

  // Takes the same time whatever they are.
  friend bool operator==(const TokenHash& a, const TokenHash& b);

 private:
  std::array<uint8_t, 32> octets_ = {};
};

}  // namespace restante::access

#endif  // RESTANTE_SERVER_ACCESS_TOKEN_H_
