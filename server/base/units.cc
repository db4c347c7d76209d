#include "server/base/units.h"

#include <iterator>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace restante {
namespace {

constexpr absl::string_view kSizeUnits = "KMGT";
constexpr int64_t kMaxDurationMillis = int64_t{100'000} * 86'400'000;

struct DurationUnit {
  absl::string_view name;
  int64_t millis;
};
// The larger first.
constexpr DurationUnit kDurationUnits[] = {
    {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};

// Takes the digits at the front of `text`. False if there are none or the value
// exceeds 64 bits.
bool ConsumeNumber(absl::string_view* text, uint64_t* value) {
  size_t digits = 0;
  *value = 0;
  for (; digits < text->size() && absl::ascii_isdigit((*text)[digits]); ++digits) {
    const uint64_t digit = (*text)[digits] - '0';
    if (*value > (std::numeric_limits<uint64_t>::max() - digit) / 10) return false;
    *value = *value * 10 + digit;
  }
  text->remove_prefix(digits);
  return digits > 0;
}

absl::Status NotASize(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::CEscape(text),
                   "\" is not a size (octets, or a whole number with K, M, G or T; below 2^64)"));
}

absl::Status NotADuration(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::CEscape(text),
                   "\" is not a duration (whole numbers with ms, s, m, h or d; at most 100000d)"));
}

}  // namespace

absl::StatusOr<uint64_t> ParseSize(absl::string_view text) {
  absl::string_view rest = text;
  uint64_t value;
  if (!ConsumeNumber(&rest, &value) || rest.size() > 1) return NotASize(text);
  if (rest.empty()) return value;
  const size_t unit = kSizeUnits.find(absl::ascii_toupper(rest[0]));
  if (unit == absl::string_view::npos) return NotASize(text);
  const int shift = 10 * (static_cast<int>(unit) + 1);
  if (value > std::numeric_limits<uint64_t>::max() >> shift) return NotASize(text);
  return value << shift;
}

std::string FormatSize(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes);
  size_t unit = 0;
  while (unit + 1 < kSizeUnits.size() && bytes >> (10 * (unit + 2)) != 0) ++unit;
  uint64_t one = uint64_t{1} << (10 * (unit + 1));
  uint64_t whole = bytes / one;
  // The remainder is below 2^40, so tenths do not overflow.
  uint64_t tenths = (bytes % one * 10 + one / 2) / one;
  if (tenths == 10) {
    ++whole;
    tenths = 0;
  }
  if (whole == 1024 && unit + 1 < kSizeUnits.size()) {
    whole = 1;
    ++unit;
  }
  const absl::string_view suffix = kSizeUnits.substr(unit, 1);
  if (tenths == 0) return absl::StrCat(whole, suffix);
  return absl::StrCat(whole, ".", tenths, suffix);
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  if (text == "0") return absl::ZeroDuration();
  absl::string_view rest = text;
  const DurationUnit* next = std::begin(kDurationUnits);
  int64_t millis = 0;
  do {
    uint64_t value;
    if (!ConsumeNumber(&rest, &value)) return NotADuration(text);
    const size_t letters = rest.find_first_of("0123456789");
    const absl::string_view name = rest.substr(0, letters);
    while (next != std::end(kDurationUnits) && next->name != name) ++next;
    if (next == std::end(kDurationUnits)) return NotADuration(text);
    if (value > static_cast<uint64_t>((kMaxDurationMillis - millis) / next->millis))
      return NotADuration(text);
    millis += static_cast<int64_t>(value) * next->millis;
    ++next;
    rest.remove_prefix(name.size());
  } while (!rest.empty());
  return absl::Milliseconds(millis);
}

std::string FormatDuration(absl::Duration duration) {
  int64_t millis = absl::ToInt64Milliseconds(duration);
  if (millis <= 0) return "0";
  std::string text;
  for (const DurationUnit& unit : kDurationUnits) {
    if (millis >= unit.millis) absl::StrAppend(&text, millis / unit.millis, unit.name);
    millis %= unit.millis;
  }
  return text;
}

}  // namespace restante
