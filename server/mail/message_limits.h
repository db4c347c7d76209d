// What the store takes of what is said about a message, for it and for those who send it
// (proto restante/v1/message.proto).
#ifndef RESTANTE_SERVER_MAIL_MESSAGE_LIMITS_H_
#define RESTANTE_SERVER_MAIL_MESSAGE_LIMITS_H_

#include <algorithm>
#include <cstddef>

#include "absl/strings/string_view.h"

namespace restante::mail {

// Of an address of the envelope.
inline constexpr size_t kMaxAddressOctets = 1024;
inline constexpr size_t kMaxKeywords = 100;
inline constexpr size_t kMaxKeywordOctets = 255;

// Whether a keyword has no characters but those of RFC 8621, 4.1.1.
inline bool HasKeywordCharactersOnly(absl::string_view keyword) {
  return std::all_of(keyword.begin(), keyword.end(), [](char c) {
    return c > 0x20 && c < 0x7f && absl::string_view("(){]%*\"\\").find(c) == absl::string_view::npos;
  });
}

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_MESSAGE_LIMITS_H_
