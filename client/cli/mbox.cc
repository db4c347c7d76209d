#include "client/cli/mbox.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/message_file.h"
#include "server/base/utf8.h"
#include "server/mail/message_limits.h"

namespace restante::cli {
namespace {

constexpr absl::string_view kFrom = "From ";
constexpr absl::string_view kNullPath = "MAILER-DAEMON";
constexpr size_t kPiece = 1 << 20;

constexpr absl::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr absl::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// From 1; 0: it is none of them.
template <size_t kCount>
int PlaceIn(const absl::string_view (&names)[kCount], absl::string_view name) {
  const auto* found = std::find(std::begin(names), std::end(names), name);
  return found == std::end(names) ? 0 : static_cast<int>(found - std::begin(names)) + 1;
}

// `>`s and `From `.
bool IsQuotable(absl::string_view line) {
  const size_t quotes = std::min(line.find_first_not_of('>'), line.size());
  return absl::StartsWith(line.substr(quotes), kFrom);
}

// Copies line by line, with one `>` more or less where lines are quotable.
std::string Requote(absl::string_view text, bool quote) {
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    absl::string_view line = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
    text.remove_prefix(line.size());
    if (IsQuotable(line)) {
      if (quote) out += '>';
      if (!quote) absl::ConsumePrefix(&line, ">");
    }
    out.append(line.data(), line.size());
  }
  return out;
}

// Digits alone, at most four.
bool Number(absl::string_view text, int* value) {
  return !text.empty() && text.size() <= 4 &&
         text.find_first_not_of("0123456789") == absl::string_view::npos && absl::SimpleAtoi(text, value);
}

// `+0100`, `GMT`: minutes east of UTC. Other names of zones say nothing reliable.
int ZoneOf(absl::string_view word) {
  int value = 0;
  if (word.size() != 5 || (word[0] != '+' && word[0] != '-') || !Number(word.substr(1), &value)) return 0;
  const int minutes = value / 100 * 60 + value % 100;
  return word[0] == '-' ? -minutes : minutes;
}

// The words from a day of the week on: `Thu Nov 26 22:46:58 2026`, without seconds,
// with a zone in front of the year or behind it.
std::optional<absl::Time> DateOf(const std::vector<absl::string_view>& words, size_t at) {
  if (words.size() < at + 5 || PlaceIn(kDays, words[at]) == 0) return std::nullopt;
  const int month = PlaceIn(kMonths, words[at + 1]);
  int day = 0, hour = 0, minute = 0, second = 0, year = 0, zone = 0;
  if (month == 0 || !Number(words[at + 2], &day) || day < 1 || day > 31) return std::nullopt;
  const std::vector<absl::string_view> time = absl::StrSplit(words[at + 3], ':');
  if (time.size() < 2 || time.size() > 3 || !Number(time[0], &hour) || !Number(time[1], &minute)) {
    return std::nullopt;
  }
  if (time.size() == 3 && !Number(time[2], &second)) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 60) return std::nullopt;
  for (size_t i = at + 4; i < std::min(words.size(), at + 7); ++i) {
    if (year == 0 && words[i].size() == 4 && Number(words[i], &year)) continue;
    if (zone == 0) zone = ZoneOf(words[i]);
  }
  if (year == 0) return std::nullopt;
  return absl::FromCivil(absl::CivilSecond(year, month, day, hour, minute, second), absl::UTCTimeZone()) -
         absl::Minutes(zone);
}

}  // namespace

std::string ToMbox(absl::string_view sender, absl::Time arrival, absl::string_view text) {
  const bool lossless = absl::EndsWith(text, "\r\n") && HasOnlyCrlf(text);
  const std::string line = absl::StrCat(
      kFrom, sender.empty() ? kNullPath : HeaderSafe(sender), " ",
      absl::FormatTime("%a %b %e %H:%M:%S %Y", std::max(arrival, absl::UnixEpoch()), absl::UTCTimeZone()));
  if (lossless) return absl::StrCat(line, "\n", Requote(WithoutCr(text), true), "\n");
  return absl::StrCat(line, "\r\n", Requote(text, true), "\n\n");
}

std::optional<FromLine> ParseFromLine(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, kFrom)) return std::nullopt;
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  // The last one, for a sender may be made of anything.
  for (size_t at = words.size(); at-- > 0;) {
    const std::optional<absl::Time> date = DateOf(words, at);
    if (!date) continue;
    absl::string_view sender = line.substr(0, static_cast<size_t>(words[at].data() - line.data()));
    absl::ConsumeSuffix(&sender, " ");
    const bool null = sender == kNullPath || sender == "-" || sender == "<>" || !IsUtf8(sender) ||
                      sender.size() > mail::kMaxAddressOctets;
    return FromLine{null ? "" : HeaderSafe(sender), *date};
  }
  return std::nullopt;
}

MboxReader::MboxReader(std::istream& in, std::string name, uint64_t limit)
    : in_(in), name_(std::move(name)), limit_(limit + limit / 4 + 4096) {}

bool MboxReader::NextPiece() {
  begins_line_ = piece_.empty() || piece_.back() == '\n';
  size_t end = buffer_.find('\n', at_);
  while (end == std::string::npos && buffer_.size() - at_ < kPiece && in_) {
    buffer_.erase(0, at_);
    at_ = 0;
    const size_t have = buffer_.size();
    buffer_.resize(have + kPiece);
    in_.read(buffer_.data() + have, kPiece);
    buffer_.resize(have + static_cast<size_t>(in_.gcount()));
    end = buffer_.find('\n', have);
  }
  const size_t length = end == std::string::npos ? std::min(buffer_.size() - at_, kPiece) : end + 1 - at_;
  piece_ = absl::string_view(buffer_).substr(at_, length);
  at_ += length;
  return length > 0;
}

MboxMessage MboxReader::Finish(std::string content, uint64_t size) {
  MboxMessage message;
  message.number = ++number_;
  message.from = *std::move(from_);
  from_.reset();
  if (size > limit_) {
    message.too_large = size;
    return message;
  }
  absl::string_view text = content;
  if (from_crlf_) {
    // Ours, verbatim; else a file with CRLF line ends.
    if (!absl::ConsumeSuffix(&text, "\n\n") && (text == "\r\n" || absl::EndsWith(text, "\r\n\r\n"))) {
      text.remove_suffix(2);
    }
    message.text = Requote(text, false);
  } else {
    if (text == "\n" || absl::EndsWith(text, "\n\n")) text.remove_suffix(1);
    message.text = WithCrlf(Requote(text, false));
  }
  return message;
}

absl::StatusOr<std::optional<MboxMessage>> MboxReader::Next() {
  std::string content;
  uint64_t size = 0;
  while (NextPiece()) {
    if (begins_line_ && absl::StartsWith(piece_, kFrom)) {
      absl::string_view line = absl::StripSuffix(piece_, "\n");
      const bool crlf = absl::ConsumeSuffix(&line, "\r");
      if (std::optional<FromLine> from = ParseFromLine(line)) {
        std::optional<MboxMessage> before;
        if (from_) before = Finish(std::move(content), size);
        from_ = std::move(from);
        from_crlf_ = crlf;
        if (before) return before;
        continue;
      }
    }
    if (!from_) {
      if (piece_ == "\n" || piece_ == "\r\n") continue;
      return absl::InvalidArgumentError(
          absl::StrCat(name_, ": is no mbox, it does not begin with a line `From SENDER DATE`"));
    }
    size += piece_.size();
    if (size > limit_) {
      content.clear();
    } else {
      content.append(piece_.data(), piece_.size());
    }
  }
  if (in_.bad()) return absl::DataLossError(absl::StrCat(name_, ": cannot be read to its end"));
  if (!from_) return std::optional<MboxMessage>();
  return std::optional<MboxMessage>(Finish(std::move(content), size));
}

}  // namespace restante::cli
