#include "client/cli/values.h"

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "server/base/units.h"

namespace restante::cli {

absl::StatusOr<v1::Limit> ParseLimit(absl::string_view text, bool size) {
  v1::Limit limit;
  if (text == "unlimited") {
    limit.set_kind(v1::Limit::UNLIMITED);
    return limit;
  }
  if (text == "inherit") {
    limit.set_kind(v1::Limit::INHERIT);
    return limit;
  }
  limit.set_kind(v1::Limit::VALUE);
  uint64_t value = 0;
  if (size) {
    absl::StatusOr<uint64_t> parsed = ParseSize(text);
    if (!parsed.ok()) return parsed.status();
    value = *parsed;
  } else if (text.empty() ||
             !std::all_of(text.begin(), text.end(), [](unsigned char c) { return absl::ascii_isdigit(c); }) ||
             !absl::SimpleAtoi(text, &value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", text, "` is not a number of messages, `unlimited` or `inherit`"));
  }
  if (value > uint64_t{1} << 62) {
    return absl::InvalidArgumentError(absl::StrCat("`", text, "` is more than 2^62; say `unlimited`"));
  }
  limit.set_value(value);
  return limit;
}

absl::StatusOr<v1::Mailbox::State> ParseState(absl::string_view text) {
  if (text == "active") return v1::Mailbox::ACTIVE;
  if (text == "hold") return v1::Mailbox::HOLD;
  if (text == "disabled") return v1::Mailbox::DISABLED;
  return absl::InvalidArgumentError(absl::StrCat("`", text, "` is not active, hold or disabled"));
}

std::string StateText(v1::Mailbox::State state) {
  if (state == v1::Mailbox::HOLD) return "hold";
  return state == v1::Mailbox::DISABLED ? "disabled" : "active";
}

absl::StatusOr<v1::OverQuotaPolicy> ParsePolicy(absl::string_view text) {
  if (text == "tempfail") return v1::TEMPFAIL;
  if (text == "permfail") return v1::PERMFAIL;
  return absl::InvalidArgumentError(absl::StrCat("`", text, "` is not tempfail or permfail"));
}

std::string PolicyText(v1::OverQuotaPolicy policy) {
  return policy == v1::PERMFAIL ? "permfail" : "tempfail";
}

std::string OutcomeText(v1::Outcome outcome) {
  std::string name = v1::Outcome_Name(outcome);
  if (name.empty()) return absl::StrCat("outcome ", static_cast<int>(outcome));
  return absl::AsciiStrToLower(absl::StrReplaceAll(absl::StripPrefix(name, "OUTCOME_"), {{"_", " "}}));
}

std::string ShortageText(const v1::Shortage& shortage) {
  const char* scope = "";
  switch (shortage.scope()) {
    case v1::Shortage::MAILBOX:
      scope = "mailbox";
      break;
    case v1::Shortage::DOMAIN:
      scope = "domain";
      break;
    case v1::Shortage::DISK:
      scope = "disk";
      break;
    case v1::Shortage::CLIENT:
      scope = "client";
      break;
    case v1::Shortage::MESSAGE:
      scope = "message";
      break;
    default:
      return "";
  }
  uint64_t taken = shortage.used() + shortage.reserved();
  uint64_t left = shortage.limit() > taken ? shortage.limit() - taken : 0;
  return absl::StrCat(scope, ": needs ", shortage.needed(),
                      shortage.counts_messages() ? " messages, " : " bytes, ", left, " left of ",
                      shortage.limit());
}

}  // namespace restante::cli
