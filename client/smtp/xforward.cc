#include "client/smtp/xforward.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace restante::smtp {
namespace {

constexpr size_t kMaxValue = 255;
constexpr size_t kMaxProtocol = 64;

// RFC 3461, 4, with hexadecimal digits in any case. Octets that are not printable
// become '?', as in Postfix.
std::optional<std::string> DecodeXtext(absl::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c == '+') {
      if (i + 2 >= text.size() || !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) ||
          !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
        return std::nullopt;
      }
      c = static_cast<unsigned char>(absl::HexStringToBytes(text.substr(i + 1, 2))[0]);
      i += 2;
    }
    result.push_back(absl::ascii_isprint(c) ? static_cast<char>(c) : '?');
  }
  return result;
}

// As `inet_ntop` writes it; empty if it is none.
std::string AddressText(absl::string_view text) {
  const bool v6 = absl::StartsWithIgnoreCase(text, "IPv6:");
  const int family = v6 || absl::StrContains(text, ':') ? AF_INET6 : AF_INET;
  if (v6) text.remove_prefix(5);
  in6_addr octets = {};
  char result[INET6_ADDRSTRLEN] = {};
  if (inet_pton(family, std::string(text).c_str(), &octets) != 1) return "";
  inet_ntop(family, &octets, result, sizeof(result));
  return result;
}

bool IsPort(absl::string_view text) {
  uint32_t port = 0;
  return absl::ascii_isdigit(static_cast<unsigned char>(text[0])) && absl::SimpleAtoi(text, &port) &&
         port <= 65535;
}

// What `name` says, or nothing if it may not say that.
std::optional<std::string> Validated(absl::string_view name, std::string value) {
  if (name == "ADDR") {
    value = AddressText(value);
    if (value.empty()) return std::nullopt;
  }
  if (name == "PORT" && !IsPort(value)) return std::nullopt;
  if (name == "PROTO" && value.size() > kMaxProtocol) return std::nullopt;
  if (name == "SOURCE") {
    absl::AsciiStrToUpper(&value);
    if (value != "LOCAL" && value != "REMOTE") return std::nullopt;
  }
  return value;
}

}  // namespace

std::optional<Reply> ParseXforward(absl::string_view argument, Forwarded* forwarded) {
  constexpr std::pair<absl::string_view, std::string Forwarded::*> kAttributes[] = {
      {"NAME", &Forwarded::name},      {"ADDR", &Forwarded::address}, {"PORT", &Forwarded::port},
      {"PROTO", &Forwarded::protocol}, {"HELO", &Forwarded::helo},    {"IDENT", &Forwarded::ident},
      {"SOURCE", &Forwarded::source},
  };
  if (argument.empty()) return Reply{kBadArgument, "Syntax: XFORWARD attribute=value ..."};
  Forwarded result = *forwarded;
  for (const absl::string_view word : absl::StrSplit(argument, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(word, absl::MaxSplits('=', 1));
    const auto* attribute = std::begin(kAttributes);
    while (attribute != std::end(kAttributes) && !absl::EqualsIgnoreCase(attribute->first, parts.first)) {
      ++attribute;
    }
    if (attribute == std::end(kAttributes)) {
      return Reply{kBadArgument, absl::StrCat("Unknown attribute ", Shorten(parts.first))};
    }
    std::optional<std::string> value = DecodeXtext(parts.second);
    if (value.has_value() && (absl::EqualsIgnoreCase(*value, "[UNAVAILABLE]") ||
                              absl::EqualsIgnoreCase(*value, "[TEMPUNAVAIL]"))) {
      value = "";
    } else if (value.has_value()) {
      const bool fits = !value->empty() && value->size() <= kMaxValue;
      value = fits ? Validated(attribute->first, *std::move(value)) : std::nullopt;
    }
    if (!value.has_value()) {
      return Reply{kBadArgument, absl::StrCat("Malformed value of ", attribute->first)};
    }
    result.*attribute->second = *std::move(value);
  }
  *forwarded = std::move(result);
  return std::nullopt;
}

}  // namespace restante::smtp
