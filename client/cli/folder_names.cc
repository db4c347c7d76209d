#include "client/cli/folder_names.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/utf8.h"

namespace restante::cli {
namespace {

constexpr absl::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

bool IsDirect(char c) { return c >= 0x20 && c < 0x7f && c != '.'; }

// Base 64 of UTF-16, between `&` and `-`.
class Shifted {
 public:
  void Add(uint32_t unit) {
    bits_ = bits_ << 16 | unit;
    count_ += 16;
    while (count_ >= 6) {
      count_ -= 6;
      text_ += kDigits[bits_ >> count_ & 63];
    }
  }
  // All since the last one, if there is anything.
  std::string Take() {
    if (count_ > 0) text_ += kDigits[bits_ << (6 - count_) & 63];
    std::string taken = text_.empty() ? "" : absl::StrCat("&", text_, "-");
    text_.clear();
    bits_ = 0;
    count_ = 0;
    return taken;
  }

 private:
  std::string text_;
  uint64_t bits_ = 0;
  int count_ = 0;
};

std::string EncodeLevel(absl::string_view level) {
  std::string out;
  Shifted shifted;
  while (!level.empty()) {
    const CodePoint c = DecodeUtf8(level);
    if (c.octets <= 1 && IsDirect(level[0])) {
      absl::StrAppend(&out, shifted.Take(), level[0] == '&' ? "&-" : level.substr(0, 1));
    } else if (c.value >= 0x10000) {
      shifted.Add(0xd800 + ((c.value - 0x10000) >> 10));
      shifted.Add(0xdc00 + ((c.value - 0x10000) & 0x3ff));
    } else {
      shifted.Add(c.value);
    }
    level.remove_prefix(c.octets == 0 ? 1 : c.octets);
  }
  return out + shifted.Take();
}

void AppendUtf8(uint32_t c, std::string* out) {
  const auto tail = [&](int shift) { out->push_back(static_cast<char>(0x80 | (c >> shift & 0x3f))); };
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xc0 | c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | c >> 12));
    tail(6);
    tail(0);
  } else {
    out->push_back(static_cast<char>(0xf0 | c >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

// What stands between `&` and `-`. Lone surrogates and bits that are left over are
// nothing that anybody writes.
bool DecodeShifted(absl::string_view digits, std::string* out) {
  uint64_t bits = 0;
  int count = 0;
  uint32_t high = 0;
  for (const char digit : digits) {
    const size_t value = kDigits.find(digit);
    if (value == absl::string_view::npos) return false;
    bits = bits << 6 | value;
    count += 6;
    if (count < 16) continue;
    count -= 16;
    const auto unit = static_cast<uint32_t>(bits >> count & 0xffff);
    if (unit >= 0xdc00 && unit < 0xe000) {
      if (high == 0) return false;
      AppendUtf8(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00), out);
      high = 0;
    } else if (high != 0) {
      return false;
    } else if (unit >= 0xd800 && unit < 0xdc00) {
      high = unit;
    } else {
      AppendUtf8(unit, out);
    }
  }
  return high == 0 && count < 6 && (bits & ((uint64_t{1} << count) - 1)) == 0;
}

std::optional<std::string> DecodeLevel(absl::string_view level) {
  std::string out;
  while (!level.empty()) {
    const char c = level[0];
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) return std::nullopt;
    level.remove_prefix(1);
    if (c != '&') {
      out += c;
      continue;
    }
    const size_t end = level.find('-');
    if (end == absl::string_view::npos) return std::nullopt;
    if (end == 0) {
      out += '&';
    } else if (!DecodeShifted(level.substr(0, end), &out)) {
      return std::nullopt;
    }
    level.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace

std::string DirectoryOfFolder(absl::string_view name) {
  std::string directory;
  for (const absl::string_view level : absl::StrSplit(name, '/')) {
    absl::StrAppend(&directory, ".", EncodeLevel(level));
  }
  return directory;
}

absl::StatusOr<std::string> FolderOfDirectory(absl::string_view directory) {
  std::vector<std::string> levels;
  for (const absl::string_view level : absl::StrSplit(directory.substr(1), '.')) {
    if (level.empty()) return absl::InvalidArgumentError("an empty level between dots");
    std::optional<std::string> decoded = DecodeLevel(level);
    if (!decoded && !IsUtf8(level)) return absl::InvalidArgumentError("not modified UTF-7, nor UTF-8");
    levels.push_back(decoded ? *std::move(decoded) : std::string(level));
  }
  std::string name = absl::StrJoin(levels, "/");
  return absl::EqualsIgnoreCase(name, kInbox) ? std::string(kInbox) : name;
}

}  // namespace restante::cli
