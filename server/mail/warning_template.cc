#include "server/mail/warning_template.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/numeric/int128.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "server/base/units.h"
#include "server/base/utf8.h"

namespace restante::mail {
namespace {

constexpr absl::string_view kBuiltIn = R"(From: Mail storage <postmaster@{{hostname}}>
To: <{{address}}>
Subject: Your mailbox is {{percent}} % full

Your mailbox {{address}} has reached {{percent}} % of what it may hold:
{{used}} of {{limit}}.

When it is full, no more mail can be delivered to you. Please delete messages
that you do not need, or ask your administrator for more room.
)";

constexpr absl::string_view kNames[] = {"address", "percent", "used", "limit", "hostname"};
constexpr absl::string_view kOurHeaders[] = {"date", "message-id", "auto-submitted", "return-path"};
// RFC 5322, 2.1.1, less what placeholders become.
constexpr size_t kLongestLine = 600;

// The name of the header that a line begins; nullopt for what is none.
std::optional<std::string> HeaderName(absl::string_view line) {
  const size_t colon = line.find(':');
  if (colon == line.npos || colon == 0) return std::nullopt;
  for (const char c : line.substr(0, colon)) {
    if (!absl::ascii_isgraph(c)) return std::nullopt;
  }
  return absl::AsciiStrToLower(line.substr(0, colon));
}

// What fills a mailbox: bytes or messages, whichever is nearer to its limit.
void Amounts(const engine::stored::QuotaEvent& quota, std::map<absl::string_view, std::string>* values) {
  using engine::stored::Limit;
  const Limit& bytes = quota.max_bytes();
  const Limit& messages = quota.max_messages();
  const bool by_messages = messages.kind() == Limit::VALUE &&
                           (bytes.kind() != Limit::VALUE ||
                            absl::uint128(quota.used_messages()) * std::max<uint64_t>(1, bytes.value()) >
                                absl::uint128(quota.used_bytes()) * std::max<uint64_t>(1, messages.value()));
  if (by_messages) {
    (*values)["used"] = absl::StrCat(quota.used_messages(), " messages");
    (*values)["limit"] = absl::StrCat(messages.value(), " messages");
  } else {
    (*values)["used"] = FormatSize(quota.used_bytes());
    (*values)["limit"] = bytes.kind() == Limit::VALUE ? FormatSize(bytes.value()) : "unlimited";
  }
}

}  // namespace

absl::StatusOr<WarningTemplate> WarningTemplate::Parse(absl::string_view text) {
  WarningTemplate out;
  int number = 0;
  const auto wrong = [&](auto... why) {
    return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", why...));
  };
  bool in_headers = true, from = false, any = false;
  Piece piece;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    absl::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    absl::ConsumeSuffix(&line, "\r");
    if (!IsUtf8(line)) return wrong("is not UTF-8");
    for (const char c : line) {
      if (absl::ascii_iscntrl(c) && c != '\t') return wrong("has a control character");
    }
    if (line.size() > kLongestLine) return wrong("has ", line.size(), " octets, at most ", kLongestLine);
    if (in_headers && line.empty()) {
      if (!from) return wrong("the headers end here, and there is no From");
      in_headers = false;
    } else if (in_headers && !(any && (line[0] == ' ' || line[0] == '\t'))) {
      const std::optional<std::string> name = HeaderName(line);
      if (!name) return wrong("is no header; an empty line ends the headers");
      if (std::find(std::begin(kOurHeaders), std::end(kOurHeaders), *name) != std::end(kOurHeaders)) {
        return wrong("the store writes this header itself");
      }
      any = true;
      from |= *name == "from";
      out.mime_ |= *name == "content-type";
    }
    while (true) {
      const size_t open = line.find("{{");
      absl::StrAppend(&piece.text, line.substr(0, open));
      if (open == line.npos) break;
      line.remove_prefix(open + 2);
      const size_t close = line.find("}}");
      if (close == line.npos) return wrong("`{{` without `}}`");
      piece.name = std::string(absl::StripAsciiWhitespace(line.substr(0, close)));
      if (std::find(std::begin(kNames), std::end(kNames), piece.name) == std::end(kNames)) {
        return wrong("`{{", piece.name, "}}` is none of address, percent, used, limit, hostname");
      }
      line.remove_prefix(close + 2);
      out.pieces_.push_back(std::move(piece));
      piece = {};
    }
    absl::StrAppend(&piece.text, "\r\n");
  }
  if (in_headers) return wrong("the text ends in the headers: there is no empty line behind them");
  out.pieces_.push_back(std::move(piece));
  return out;
}

WarningTemplate WarningTemplate::BuiltIn() { return *Parse(kBuiltIn); }

std::string WarningTemplate::Fill(const engine::stored::Event& event, absl::string_view hostname) const {
  const engine::stored::QuotaEvent& quota = event.quota();
  std::map<absl::string_view, std::string> values = {{"address", quota.name()},
                                                     {"percent", absl::StrCat(quota.percent())},
                                                     {"hostname", std::string(hostname)}};
  Amounts(quota, &values);
  // Of the event, so that the same message comes out whenever it is made again.
  std::string message =
      absl::StrCat("Date: ",
                   absl::FormatTime("%a, %d %b %Y %H:%M:%S +0000", absl::FromUnixMicros(event.time_us()),
                                    absl::UTCTimeZone()),
                   "\r\nMessage-ID: <quota-warning.", event.sequence(), ".", event.time_us(), "@", hostname,
                   ">\r\nAuto-Submitted: auto-generated\r\n");
  if (!mime_) {
    absl::StrAppend(&message,
                    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n");
  }
  for (const Piece& piece : pieces_) {
    absl::StrAppend(&message, piece.text, piece.name.empty() ? "" : values[piece.name]);
  }
  return message;
}

}  // namespace restante::mail
