#include "server/access/token.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/file_watch.h"
#include "server/base/status_macros.h"

namespace restante::access {

std::string NewToken() {
  std::string octets(32, '\0');
  // Up to 256 octets come whole or, before the kernel's generator is ready, wait.
  if (getrandom(octets.data(), octets.size(), 0) != static_cast<ssize_t>(octets.size())) std::abort();
  return absl::StrCat("restante_", absl::WebSafeBase64Escape(octets));
}

absl::Status CheckToken(absl::string_view token) {
  if (token.size() < kMinToken || token.size() > kMaxToken) {
    return absl::InvalidArgumentError(absl::StrCat("a token has ", kMinToken, " to ", kMaxToken,
                                                   " characters, this one ", token.size(),
                                                   " (`restante token new` makes one)"));
  }
  const absl::string_view body = token.substr(0, token.find_last_not_of('=') + 1);
  const auto allowed = [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::string_view("-._~+/").find(c) != absl::string_view::npos;
  };
  if (body.empty() || !std::all_of(body.begin(), body.end(), allowed)) {
    return absl::InvalidArgumentError("a token is made of letters, digits and -._~+/ only");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadToken(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(file));
  std::string token(absl::StripAsciiWhitespace(text));
  if (const absl::Status status = CheckToken(token); !status.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("`", file, "`: ", status.message()));
  }
  return token;
}

TokenHash TokenHash::Of(absl::string_view token) {
  TokenHash hash;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), hash.octets_.data());
  return hash;
}

absl::StatusOr<TokenHash> TokenHash::Parse(absl::string_view hex) {
  TokenHash hash;
  const bool digits =
      std::all_of(hex.begin(), hex.end(), [](unsigned char c) { return absl::ascii_isxdigit(c); });
  if (hex.size() != 2 * hash.octets_.size() || !digits) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a SHA-256 is 64 hexadecimal digits, this has ", hex.size(), " characters",
        digits ? "" : ", not all of them digits", " (`restante token new` prints it beside the token)"));
  }
  const std::string octets = absl::HexStringToBytes(hex);
  std::copy(octets.begin(), octets.end(), hash.octets_.begin());
  return hash;
}

std::string TokenHash::ToString() const {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(octets_.data()), octets_.size()));
}

bool operator==(const TokenHash& a, const TokenHash& b) {
  return CRYPTO_memcmp(a.octets_.data(), b.octets_.data(), a.octets_.size()) == 0;
}

}  // namespace restante::access
