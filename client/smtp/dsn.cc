#include "client/smtp/dsn.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "server/base/utf8.h"

namespace restante::smtp {
namespace {

constexpr size_t kMaxEnvelopeId = 100;
constexpr size_t kMaxOriginalRecipient = 500;

// Of two upper-case digits; -1 if they are none.
int HexOctet(absl::string_view digits) {
  int value = 0;
  for (const char c : digits) {
    const size_t digit = absl::string_view("0123456789ABCDEF").find(c);
    if (digit == absl::string_view::npos) return -1;
    value = value * 16 + static_cast<int>(digit);
  }
  return digits.size() == 2 ? value : -1;
}

// What it stands for goes into reports, so it is printable ASCII; with `utf8` other
// characters may stand for themselves.
bool IsXtext(absl::string_view value, bool utf8) {
  for (size_t i = 0; i < value.size(); ++i) {
    const auto c = static_cast<unsigned char>(value[i]);
    if (c == '+') {
      const int octet = HexOctet(value.substr(i + 1, 2));
      if (octet < 0x20 || octet > 0x7e) return false;
      i += 2;
    } else if (c == '=' || !(absl::ascii_isgraph(c) || (utf8 && !absl::ascii_isascii(c)))) {
      return false;
    }
  }
  return !value.empty() && IsUtf8(value);
}

}  // namespace

bool IsRet(absl::string_view value) {
  return absl::EqualsIgnoreCase(value, "FULL") || absl::EqualsIgnoreCase(value, "HDRS");
}

bool IsEnvelopeId(absl::string_view value) {
  return value.size() <= kMaxEnvelopeId && IsXtext(value, /*utf8=*/false);
}

bool IsNotify(absl::string_view value) {
  if (absl::EqualsIgnoreCase(value, "NEVER")) return true;
  constexpr absl::string_view kEvents[] = {"SUCCESS", "FAILURE", "DELAY"};
  bool seen[std::size(kEvents)] = {};
  for (const absl::string_view word : absl::StrSplit(value, ',')) {
    size_t i = 0;
    while (i < std::size(kEvents) && !absl::EqualsIgnoreCase(word, kEvents[i])) ++i;
    if (i == std::size(kEvents) || seen[i]) return false;
    seen[i] = true;
  }
  return true;
}

bool IsOriginalRecipient(absl::string_view value, bool smtputf8) {
  const size_t semicolon = value.find(';');
  if (semicolon == absl::string_view::npos || value.size() > kMaxOriginalRecipient) return false;
  const absl::string_view type = value.substr(0, semicolon);
  const bool is_type = !type.empty() && std::all_of(type.begin(), type.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-';
  });
  return is_type && IsXtext(value.substr(semicolon + 1), smtputf8 && absl::EqualsIgnoreCase(type, "utf-8"));
}

}  // namespace restante::smtp
