#include "client/smtp/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace restante::smtp {
namespace {

using State = ProxyHeader::State;

constexpr absl::string_view kSignature1 = "PROXY ";
constexpr absl::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
// With CRLF (2.1).
constexpr size_t kMaxLine = 107;
constexpr size_t kFixed2 = 16;

ProxyHeader Malformed(absl::string_view reason) { return {.state = State::kMalformed, .reason = reason}; }

// Of a port: 0 to 65535 without a zero in front.
bool IsPort(absl::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return false;
  uint32_t port = 0;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    port = port * 10 + static_cast<uint32_t>(c - '0');
  }
  return port <= 65535;
}

// In the form that all addresses have here; an IPv4 address that is mapped into IPv6
// as IPv4. `octets`: 4 or 16.
std::string AddressText(absl::string_view octets) {
  constexpr absl::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  if (octets.size() == sizeof(in6_addr) && absl::StartsWith(octets, kMapped)) octets.remove_prefix(12);
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(octets.size() == sizeof(in_addr) ? AF_INET : AF_INET6, octets.data(), text, sizeof(text));
  return text;
}

// Empty if it is none.
std::string ParseAddress(int family, absl::string_view text) {
  char octets[sizeof(in6_addr)] = {};
  if (text.find('\0') != absl::string_view::npos) return "";
  if (inet_pton(family, std::string(text).c_str(), octets) != 1) return "";
  return AddressText({octets, family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr)});
}

ProxyHeader ParseLine(absl::string_view octets) {
  const size_t end = octets.substr(0, kMaxLine).find("\r\n");
  if (end == absl::string_view::npos) {
    if (octets.size() >= kMaxLine) return Malformed("its line is longer than 107 octets");
    return {.state = State::kIncomplete};
  }
  const absl::string_view line = octets.substr(kSignature1.size(), end - kSignature1.size());
  ProxyHeader header{.state = State::kComplete, .length = end + 2};
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  // What follows UNKNOWN is to be ignored.
  if (words[0] == "UNKNOWN") return header;
  if (words[0] != "TCP4" && words[0] != "TCP6")
    return Malformed("its protocol is none of TCP4, TCP6, UNKNOWN");
  if (words.size() != 5) return Malformed("it has not two addresses and two ports");
  const int family = words[0] == "TCP4" ? AF_INET : AF_INET6;
  header.client = ParseAddress(family, words[1]);
  if (header.client.empty() || ParseAddress(family, words[2]).empty()) return Malformed("an address is none");
  if (!IsPort(words[3]) || !IsPort(words[4])) return Malformed("a port is none");
  return header;
}

ProxyHeader ParseBinary(absl::string_view octets) {
  // Each octet is judged when it has come: whoever speaks otherwise is not waited for.
  const auto at = [&](size_t i) { return static_cast<unsigned char>(octets[i]); };
  if (octets.size() > 12 && at(12) != 0x20 && at(12) != 0x21) {
    return Malformed("its version is not 2, or its command neither LOCAL nor PROXY");
  }
  const bool local = octets.size() > 12 && at(12) == 0x20;
  // UNSPEC, TCP over IPv4, over IPv6, and a stream of UNIX: nothing else comes by TCP.
  size_t addresses = 0;
  if (octets.size() > 13 && !local) {
    switch (at(13)) {
      case 0x00:
        break;
      case 0x11:
        addresses = 12;
        break;
      case 0x21:
        addresses = 36;
        break;
      case 0x31:
        addresses = 216;
        break;
      default:
        return Malformed("its family is none that a TCP connection has");
    }
  }
  if (octets.size() < kFixed2) return {.state = State::kIncomplete};
  const size_t rest = size_t{at(14)} << 8 | at(15);
  const size_t length = kFixed2 + rest;
  if (length > ProxyHeader::kMaxLength) return Malformed("it is longer than 4096 octets");
  if (rest < addresses) return Malformed("it has no room for its addresses");
  if (octets.size() < length) return {.state = State::kIncomplete};
  ProxyHeader header{.state = State::kComplete, .length = length};
  if (addresses == 12) header.client = AddressText(octets.substr(kFixed2, sizeof(in_addr)));
  if (addresses == 36) header.client = AddressText(octets.substr(kFixed2, sizeof(in6_addr)));
  return header;
}

}  // namespace

ProxyHeader ParseProxyHeader(absl::string_view octets) {
  for (const absl::string_view signature : {kSignature1, kSignature2}) {
    const size_t seen = std::min(octets.size(), signature.size());
    if (octets.substr(0, seen) != signature.substr(0, seen)) continue;
    if (seen < signature.size()) return {.state = State::kIncomplete};
    return signature == kSignature1 ? ParseLine(octets) : ParseBinary(octets);
  }
  return Malformed("there is none");
}

}  // namespace restante::smtp
