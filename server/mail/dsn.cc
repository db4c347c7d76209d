#include "server/mail/dsn.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/base/utf8.h"

namespace restante::dsn {
namespace {

// Of two upper-case digits; -1 if they are none.
int HexOctet(absl::string_view digits) {
  int value = 0;
  for (const char c : digits) {
    const size_t digit = absl::string_view("0123456789ABCDEF").find(c);
    if (digit == absl::string_view::npos) return -1;
    value = value * 16 + static_cast<int>(digit);
  }
  return digits.size() == 2 ? value : -1;
}

// What it stands for goes into reports, so it is printable ASCII; with `utf8` other
// characters may stand for themselves.
bool IsXtext(absl::string_view value, bool utf8) {
  for (size_t i = 0; i < value.size(); ++i) {
    const auto c = static_cast<unsigned char>(value[i]);
    if (c == '+') {
      const int octet = HexOctet(value.substr(i + 1, 2));
      if (octet < 0x20 || octet > 0x7e) return false;
      i += 2;
    } else if (c == '=' || !(absl::ascii_isgraph(c) || (utf8 && !absl::ascii_isascii(c)))) {
      return false;
    }
  }
  return !value.empty() && IsUtf8(value);
}

absl::Status CheckLength(absl::string_view value, size_t most) {
  if (value.size() <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("has ", value.size(), " octets, at most ", most, " are taken"));
}

absl::Status InField(absl::string_view field, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(field, " ", status.message()));
}

}  // namespace

absl::Status CheckEnvelopeId(absl::string_view envid) {
  RETURN_IF_ERROR(CheckLength(envid, kMaxEnvelopeId));
  if (IsXtext(envid, /*utf8=*/false)) return absl::OkStatus();
  return absl::InvalidArgumentError("is not xtext of printable ASCII (RFC 3461, 4)");
}

absl::Status CheckOriginalRecipient(absl::string_view orcpt, bool utf8) {
  RETURN_IF_ERROR(CheckLength(orcpt, kMaxOriginalRecipient));
  const size_t semicolon = orcpt.find(';');
  const absl::string_view type = orcpt.substr(0, semicolon);
  const bool is_type = !type.empty() && std::all_of(type.begin(), type.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-';
  });
  if (is_type && semicolon != absl::string_view::npos &&
      IsXtext(orcpt.substr(semicolon + 1), utf8 && absl::EqualsIgnoreCase(type, "utf-8"))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("is not addr-type;xtext (RFC 3461, 4.2)");
}

absl::Status CheckNotify(absl::Span<const int> notify) {
  bool seen[v1::Notify_ARRAYSIZE] = {};
  for (const int value : notify) {
    if (!v1::Notify_IsValid(value) || value == v1::NOTIFY_UNSPECIFIED) {
      return absl::InvalidArgumentError(absl::StrCat("has ", value, ", which is no value of it"));
    }
    if (seen[value]) {
      return absl::InvalidArgumentError(absl::StrCat("has ", v1::Notify_Name(value), " twice"));
    }
    seen[value] = true;
  }
  if (seen[v1::NOTIFY_NEVER] && notify.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", notify.size(), " values, and NOTIFY_NEVER stands alone (RFC 3461, 4.1)"));
  }
  return absl::OkStatus();
}

absl::Status Check(const v1::Begin& begin) {
  if (!v1::Ret_IsValid(begin.ret())) {
    return absl::InvalidArgumentError(absl::StrCat("ret ", begin.ret(), " is not known"));
  }
  return begin.envid().empty() ? absl::OkStatus() : InField("envid", CheckEnvelopeId(begin.envid()));
}

absl::Status Check(const v1::Recipient& recipient) {
  RETURN_IF_ERROR(InField("notify", CheckNotify(recipient.notify())));
  if (recipient.orcpt().empty()) return absl::OkStatus();
  return InField("orcpt", CheckOriginalRecipient(recipient.orcpt(), /*utf8=*/true));
}

}  // namespace restante::dsn
