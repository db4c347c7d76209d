#include "client/policy/netstring.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace restante::policy {

std::string ToNetstring(absl::string_view text) { return absl::StrCat(text.size(), ":", text, ","); }

absl::StatusOr<size_t> NetstringParser::Consume(absl::string_view in) {
  size_t used = 0;
  while (used < in.size() && place_ != Place::kComplete) {
    if (place_ == Place::kText) {
      const size_t n = std::min(length_ - text_.size(), in.size() - used);
      absl::StrAppend(&text_, in.substr(used, n));
      used += n;
      if (text_.size() == length_) place_ = Place::kComma;
      continue;
    }
    const char c = in[used++];
    if (place_ == Place::kComma) {
      if (c != ',') {
        return absl::InvalidArgumentError(
            absl::StrCat("a netstring of ", length_, " octets does not end with a comma"));
      }
      place_ = Place::kComplete;
    } else if (absl::ascii_isdigit(static_cast<unsigned char>(c))) {
      if (digits_ > 0 && length_ == 0) {
        return absl::InvalidArgumentError("a netstring's length begins with 0");
      }
      ++digits_;
      length_ = length_ * 10 + static_cast<size_t>(c - '0');
      if (length_ > kMaxText) {
        return absl::InvalidArgumentError(absl::StrCat("a netstring has more than ", kMaxText, " octets"));
      }
    } else if (c == ':' && digits_ > 0) {
      place_ = length_ == 0 ? Place::kComma : Place::kText;
    } else {
      return absl::InvalidArgumentError("a netstring does not begin with its length and a colon");
    }
  }
  return used;
}

std::string NetstringParser::Take() {
  place_ = Place::kLength;
  digits_ = length_ = 0;
  return std::exchange(text_, {});
}

}  // namespace restante::policy
