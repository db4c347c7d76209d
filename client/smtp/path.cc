#include "client/smtp/path.h"

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "server/base/status_macros.h"
#include "server/base/utf8.h"

namespace restante::smtp {
namespace {

// The store's own bound is 1024.
constexpr size_t kMaxAddress = 1000;

// Whether the octets that are not ASCII make characters is looked at in the end.
bool IsNonAscii(char c) { return static_cast<unsigned char>(c) >= 0x80; }

bool IsAtomText(char c) {
  constexpr absl::string_view kSpecials = "()<>[]:;@\\,\"";
  return IsNonAscii(c) ||
         (absl::ascii_isgraph(static_cast<unsigned char>(c)) && !absl::StrContains(kSpecials, c));
}

bool IsDomainText(char c) {
  return IsNonAscii(c) || absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' ||
         c == '_';
}

// Consumes from the front of `in`; what was consumed is appended to `out`.
struct Scanner {
  absl::string_view in;
  std::string out;

  bool At(char c) const { return !in.empty() && in.front() == c; }
  void Take() {
    out.push_back(in.front());
    in.remove_prefix(1);
  }

  // Quoted-string: qtextSMTP, UTF-8, and quoted pairs of printable ASCII and blank.
  absl::Status TakeQuoted() {
    Take();
    while (!in.empty()) {
      if (At('"')) {
        Take();
        return absl::OkStatus();
      }
      const bool pair = At('\\');
      if (pair) Take();
      // A quoted pair is ASCII (RFC 5321, 4.1.2).
      if (in.empty() || !(absl::ascii_isprint(static_cast<unsigned char>(in.front())) ||
                          (!pair && IsNonAscii(in.front())))) {
        return absl::InvalidArgumentError("bad character in a quoted local part");
      }
      Take();
    }
    return absl::InvalidArgumentError("quoted local part does not end");
  }

  absl::Status TakeLocalPart() {
    if (At('"')) return TakeQuoted();
    const size_t before = out.size();
    while (!in.empty() && IsAtomText(in.front())) Take();
    if (out.size() == before) return absl::InvalidArgumentError("local part is missing or malformed");
    return absl::OkStatus();
  }

  absl::Status TakeDomain() {
    const size_t before = out.size();
    if (At('[')) {
      while (!in.empty() && !At(']')) {
        const char c = in.front();
        if (!absl::ascii_isgraph(static_cast<unsigned char>(c)) || c == '\\' ||
            (c == '[' && out.size() > before)) {
          return absl::InvalidArgumentError("bad character in an address literal");
        }
        Take();
      }
      if (in.empty()) return absl::InvalidArgumentError("address literal does not end");
      if (out.size() == before + 1) return absl::InvalidArgumentError("address literal is empty");
      Take();
      return absl::OkStatus();
    }
    while (!in.empty() && IsDomainText(in.front())) Take();
    if (out.size() == before) return absl::InvalidArgumentError("domain is missing or malformed");
    // An empty label is no domain; one dot at the end is the root's and common.
    if (out[before] == '.' || absl::StrContains(absl::string_view(out).substr(before), "..")) {
      return absl::InvalidArgumentError("domain has an empty label");
    }
    return absl::OkStatus();
  }

  // A-d-l: "@one,@two:".
  absl::Status SkipSourceRoute() {
    while (true) {
      if (!At('@')) return absl::InvalidArgumentError("malformed source route");
      Take();
      RETURN_IF_ERROR(TakeDomain());
      if (At(':')) break;
      if (!At(',')) return absl::InvalidArgumentError("malformed source route");
      Take();
    }
    in.remove_prefix(1);
    out.clear();
    return absl::OkStatus();
  }
};

}  // namespace

absl::StatusOr<ParsedPath> ParsePath(absl::string_view in, PathKind kind) {
  if (in.empty() || in.front() != '<') return absl::InvalidArgumentError("address must be in angle brackets");
  Scanner scanner{in.substr(1), {}};
  if (scanner.At('>')) {
    if (kind == PathKind::kForward) return absl::InvalidArgumentError("recipient is empty");
    return ParsedPath{"", true, scanner.in.substr(1)};
  }
  if (scanner.At('@')) RETURN_IF_ERROR(scanner.SkipSourceRoute());
  RETURN_IF_ERROR(scanner.TakeLocalPart());
  if (scanner.At('@')) {
    scanner.Take();
    RETURN_IF_ERROR(scanner.TakeDomain());
  } else if (kind != PathKind::kForward || !absl::EqualsIgnoreCase(scanner.out, "postmaster")) {
    return absl::InvalidArgumentError("address has no domain");
  }
  if (!scanner.At('>')) return absl::InvalidArgumentError("malformed address");
  if (scanner.out.size() > kMaxAddress)
    return absl::InvalidArgumentError("address is longer than 1000 octets");
  const absl::string_view path = in.substr(0, in.size() - scanner.in.size());
  const bool ascii = IsAscii(path);
  if (!ascii && !IsUtf8(path)) return absl::InvalidArgumentError("address is not UTF-8");
  return ParsedPath{std::move(scanner.out), ascii, scanner.in.substr(1)};
}

}  // namespace restante::smtp
