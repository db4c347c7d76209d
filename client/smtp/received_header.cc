#include "client/smtp/received_header.h"

#include <algorithm>
#include <ctime>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace restante::smtp {
namespace {

// RFC 5322, 3.3, always 31 octets for years up to 9999. Not strftime: its names
// of days and months follow the locale.
std::string FormatDate(int64_t wall_micros) {
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto seconds = static_cast<time_t>(wall_micros / 1'000'000);
  struct tm t = {};
  gmtime_r(&seconds, &t);
  return absl::StrFormat("%s, %02d %s %04d %02d:%02d:%02d +0000", kDays[t.tm_wday], t.tm_mday,
                         kMonths[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

}  // namespace

std::string SanitizeHelo(absl::string_view helo) {
  constexpr size_t kMaxName = 255;
  std::string result(helo.substr(0, std::min(helo.size(), kMaxName)));
  for (char& c : result) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && !absl::StrContains(".-_:[]", c)) c = '?';
  }
  return result.empty() ? "unknown" : result;
}

std::string ReceivedHeader::Format(absl::string_view transaction_id, int64_t wall_micros) const {
  const bool v6 = absl::StrContains(address, ':');
  return absl::StrCat("Received: from ", SanitizeHelo(helo), " ([", v6 ? "IPv6:" : "", address, "])\r\n\tby ",
                      hostname, " (Restante) with ", protocol, "\r\n\tid ", transaction_id, ";\r\n\t",
                      FormatDate(wall_micros), "\r\n");
}

size_t ReceivedHeader::length() const { return Format(std::string(kTransactionIdLength, '0'), 0).size(); }

}  // namespace restante::smtp
