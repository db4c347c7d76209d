#include "server/mail/address.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <uninorm.h>
#include <unistr.h>

#include <cstdint>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/status_macros.h"

namespace restante::mail {
namespace {

// More than any legal address; bounds the work that hostile input can cause.
constexpr size_t kMaxInput = 4096;
// RFC 5321, 4.5.3.1.1 and 4.5.3.1.2; RFC 1035, 2.3.4.
constexpr size_t kMaxLocal = 64;
constexpr size_t kMaxDomain = 255;
constexpr size_t kMaxLabel = 63;

bool IsNonAscii(char c) { return static_cast<unsigned char>(c) >= 0x80; }

// RFC 5322, 3.2.3; RFC 6531, 3.3.
bool IsAtext(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || IsNonAscii(c) ||
         absl::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != absl::string_view::npos;
}

bool IsDotString(absl::string_view s) {
  for (absl::string_view atom : absl::StrSplit(s, '.')) {
    if (atom.empty()) return false;
    for (char c : atom) {
      if (!IsAtext(c)) return false;
    }
  }
  return true;
}

absl::Status Invalid(absl::string_view what) { return absl::InvalidArgumentError(what); }

std::string Octet(char c) {
  return absl::StrCat("octet 0x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
}

const uint8_t* Bytes(absl::string_view s) { return reinterpret_cast<const uint8_t*>(s.data()); }

// NFC and lower ASCII case. NFC comes first: it can make ASCII of other letters
// (U+212A KELVIN SIGN becomes K).
absl::StatusOr<std::string> CanonicalLocal(absl::string_view local) {
  if (u8_check(Bytes(local), local.size()) != nullptr) return Invalid("the local part is not UTF-8");
  size_t length = 0;
  uint8_t* nfc = u8_normalize(UNINORM_NFC, Bytes(local), local.size(), nullptr, &length);
  if (nfc == nullptr) return absl::ResourceExhaustedError("no memory to normalise a local part");
  std::string out(reinterpret_cast<const char*>(nfc), length);
  free(nfc);
  absl::AsciiStrToLower(&out);
  for (size_t i = 0; i < out.size(); ++i) {
    const unsigned char c = out[i];
    if (c < 0x20 || c == 0x7f)
      return Invalid(absl::StrCat("the local part contains a control character, ", Octet(out[i])));
    // C1 controls, U+0080 to U+009F (RFC 5198, 2).
    if (c == 0xc2 && static_cast<unsigned char>(out[i + 1]) < 0xa0) {
      return Invalid("the local part contains a C1 control character");
    }
  }
  if (out.empty()) return Invalid("the local part is empty");
  if (out.size() > kMaxLocal) {
    return Invalid(absl::StrCat("the local part has ", out.size(), " octets, ", kMaxLocal, " are allowed"));
  }
  return out;
}

absl::StatusOr<std::string> ParseLiteral(absl::string_view text) {
  if (text.back() != ']') return Invalid("the address literal has no closing bracket");
  const std::string inner(text.substr(1, text.size() - 2));
  if (inner.find('\0') != std::string::npos) return Invalid("the address literal contains octet 0x00");
  char canonical[INET6_ADDRSTRLEN];
  if (absl::StartsWithIgnoreCase(inner, "IPv6:")) {
    in6_addr address;
    if (inet_pton(AF_INET6, inner.c_str() + 5, &address) != 1 ||
        inet_ntop(AF_INET6, &address, canonical, sizeof(canonical)) == nullptr) {
      return Invalid("the address literal is not an IPv6 address");
    }
    return absl::StrCat("[IPv6:", canonical, "]");
  }
  in_addr address;
  if (inet_pton(AF_INET, inner.c_str(), &address) != 1 ||
      inet_ntop(AF_INET, &address, canonical, sizeof(canonical)) == nullptr) {
    return Invalid("the address literal is neither an IPv4 address nor `IPv6:` and an IPv6 address");
  }
  return absl::StrCat("[", canonical, "]");
}

// Skips `@a,@b:`. The hosts in it need not make sense: nobody goes there
// (RFC 5321, appendix C).
absl::StatusOr<absl::string_view> SkipRoute(absl::string_view text) {
  bool in_literal = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') in_literal = true;
    if (text[i] == ']') in_literal = false;
    if (text[i] == '"') break;
    if (text[i] == ':' && !in_literal) return text.substr(i + 1);
  }
  return Invalid("the source route has no colon");
}

// Reads the quoted string at the start of `text` and cuts it off.
absl::StatusOr<std::string> TakeQuoted(absl::string_view& text) {
  std::string local;
  for (size_t i = 1; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"') {
      text.remove_prefix(i + 1);
      return local;
    }
    if (c == '\\') {
      if (++i == text.size()) break;
      c = text[i];
      if (IsNonAscii(c)) return Invalid("the quoted local part has a backslash before a non-ASCII character");
    }
    local.push_back(c);
  }
  return Invalid("the quoted local part has no closing quote");
}

}  // namespace

std::string Address::ToString() const {
  if (IsDotString(local)) return absl::StrCat(local, "@", domain);
  std::string out = "\"";
  for (char c : local) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  absl::StrAppend(&out, "\"@", domain);
  return out;
}

absl::StatusOr<std::string> ParseDomain(absl::string_view text) {
  if (text.empty()) return Invalid("the domain is empty");
  if (text.size() > kMaxInput)
    return Invalid(absl::StrCat("the domain has ", text.size(), " octets, 255 are allowed"));
  if (text.front() == '[') return ParseLiteral(text);
  std::string ascii;
  bool plain = true;
  for (char c : text) plain = plain && !IsNonAscii(c);
  if (plain) {
    ascii = absl::AsciiStrToLower(text);
  } else {
    if (text.find('\0') != absl::string_view::npos) return Invalid("the domain contains octet 0x00");
    uint8_t* looked_up = nullptr;
    const std::string terminated(text);
    const int rc = idn2_lookup_u8(Bytes(terminated), &looked_up, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (rc != IDN2_OK)
      return Invalid(absl::StrCat("the domain is not valid in IDNA2008: ", idn2_strerror(rc)));
    ascii = absl::AsciiStrToLower(reinterpret_cast<const char*>(looked_up));
    idn2_free(looked_up);
  }
  if (ascii.size() > kMaxDomain) {
    return Invalid(absl::StrCat("the domain has ", ascii.size(), " octets, ", kMaxDomain, " are allowed"));
  }
  for (absl::string_view label : absl::StrSplit(ascii, '.')) {
    if (label.empty()) return Invalid("the domain has an empty label");
    if (label.size() > kMaxLabel) {
      return Invalid(
          absl::StrCat("a label of the domain has ", label.size(), " octets, ", kMaxLabel, " are allowed"));
    }
    if (label.front() == '-' || label.back() == '-')
      return Invalid("a label of the domain begins or ends with a hyphen");
    for (char c : label) {
      if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-') {
        return Invalid(absl::StrCat("the domain contains ", Octet(c),
                                    "; letters, digits, hyphens and dots are allowed"));
      }
    }
  }
  return ascii;
}

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  if (text.empty()) return Invalid("the address is empty");
  if (text.size() > kMaxInput) return Invalid(absl::StrCat("the address has ", text.size(), " octets"));
  if (text.front() == '@') {
    ASSIGN_OR_RETURN(text, SkipRoute(text));
    if (text.empty()) return Invalid("the address is empty after its source route");
  }
  std::string local;
  if (text.front() == '"') {
    ASSIGN_OR_RETURN(local, TakeQuoted(text));
    if (text.empty() || text.front() != '@') return Invalid("the quoted local part is not followed by @");
    text.remove_prefix(1);
  } else {
    const size_t at = text.find('@');
    if (at == absl::string_view::npos) return Invalid("the address has no @");
    local = std::string(text.substr(0, at));
    text.remove_prefix(at + 1);
    if (local.empty()) return Invalid("the local part is empty");
    if (!IsDotString(local)) {
      for (char c : local) {
        if (c != '.' && !IsAtext(c)) {
          return Invalid(absl::StrCat("the local part contains ", Octet(c), ", which must be quoted"));
        }
      }
      return Invalid("the local part begins or ends with a dot, or has two in a row");
    }
  }
  Address address;
  ASSIGN_OR_RETURN(address.local, CanonicalLocal(local));
  ASSIGN_OR_RETURN(address.domain, ParseDomain(text));
  return address;
}

}  // namespace restante::mail
