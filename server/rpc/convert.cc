#include "server/rpc/convert.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/mail/names.h"
#include "server/mail/quota.h"

namespace restante::rpc {
namespace {

constexpr int32_t kDefaultPage = 100;
constexpr int32_t kMaxPage = 1000;

v1::Limit LimitFrom(const stored::v1::Limit& limit, bool may_inherit) {
  v1::Limit out;
  switch (limit.kind()) {
    case stored::v1::Limit::VALUE:
      out.set_kind(v1::Limit::VALUE);
      out.set_value(limit.value());
      break;
    case stored::v1::Limit::INHERIT:
      out.set_kind(may_inherit ? v1::Limit::INHERIT : v1::Limit::UNLIMITED);
      break;
    default:
      out.set_kind(v1::Limit::UNLIMITED);
  }
  return out;
}

uint32_t BitOf(int flag) { return uint32_t{1} << (flag - 1); }

}  // namespace

v1::Limit ToLimit(uint64_t effective) {
  v1::Limit out;
  out.set_kind(effective >= quota::kUnlimited ? v1::Limit::UNLIMITED : v1::Limit::VALUE);
  if (effective < quota::kUnlimited) out.set_value(effective);
  return out;
}

google::protobuf::Timestamp ToTimestamp(int64_t micros) {
  google::protobuf::Timestamp out;
  int64_t seconds = micros / 1'000'000;
  int64_t rest = micros % 1'000'000;
  if (rest < 0) {
    rest += 1'000'000;
    --seconds;
  }
  out.set_seconds(seconds);
  out.set_nanos(static_cast<int32_t>(rest * 1000));
  return out;
}

v1::Usage ToUsage(uint64_t bytes, uint64_t messages, const engine::Reserved& reserved) {
  v1::Usage out;
  out.set_bytes(bytes);
  out.set_messages(messages);
  out.set_reserved_bytes(reserved.bytes);
  out.set_reserved_messages(reserved.messages);
  return out;
}

v1::Domain ToApi(const mail::DomainView& view) {
  const stored::v1::DomainHead& head = view.head.domain();
  v1::Domain out;
  out.set_name(mail::DomainName(head.name()));
  *out.mutable_default_bytes() = LimitFrom(head.default_bytes(), true);
  *out.mutable_default_messages() = LimitFrom(head.default_messages(), true);
  *out.mutable_max_bytes() = LimitFrom(head.max_bytes(), false);
  out.set_over_quota(head.over_quota() == 1 ? v1::PERMFAIL : v1::TEMPFAIL);
  if (!head.catch_all().empty()) out.set_catch_all(mail::MailboxName(head.catch_all()));
  *out.mutable_usage() = ToUsage(view.used_bytes, view.used_messages, view.reserved);
  out.set_mailbox_count(view.mailboxes);
  out.set_etag(view.etag);
  *out.mutable_create_time() = ToTimestamp(view.head.create_time_us());
  return out;
}

v1::Mailbox ToApi(const mail::MailboxView& view) {
  const stored::v1::MailboxHead& head = view.head.mailbox();
  v1::Mailbox out;
  out.set_name(mail::MailboxName(head.address()));
  *out.mutable_max_bytes() = LimitFrom(head.max_bytes(), true);
  *out.mutable_max_messages() = LimitFrom(head.max_messages(), true);
  switch (head.state()) {
    case stored::v1::MailboxHead::HOLD:
      out.set_state(v1::Mailbox::HOLD);
      break;
    case stored::v1::MailboxHead::DISABLED:
      out.set_state(v1::Mailbox::DISABLED);
      break;
    default:
      out.set_state(v1::Mailbox::ACTIVE);
  }
  *out.mutable_usage() = ToUsage(head.used_bytes(), head.used_messages(), view.reserved);
  *out.mutable_effective_max_bytes() = ToLimit(view.effective_bytes);
  *out.mutable_effective_max_messages() = ToLimit(view.effective_messages);
  out.set_etag(view.etag);
  *out.mutable_create_time() = ToTimestamp(view.head.create_time_us());
  for (const stored::v1::Folder& folder : head.folders()) {
    if (folder.name() == mail::kInbox) out.set_uid_validity(folder.uid_validity());
  }
  out.set_uid_next(head.uid_next());
  out.set_highest_modseq(head.highest_modseq());
  out.set_id(absl::StrCat(absl::Hex(view.number, absl::kZeroPad16)));
  return out;
}

v1::Alias ToApi(const mail::AliasView& view) {
  v1::Alias out;
  out.set_name(mail::AliasName(view.address));
  out.set_mailbox(mail::MailboxName(view.mailbox));
  out.set_etag(view.etag);
  *out.mutable_create_time() = ToTimestamp(view.entry.create_time_us());
  return out;
}

v1::Message ToApi(const mail::MessageView& view) {
  const stored::v1::Entry& entry = view.entry;
  v1::Message out;
  out.set_name(mail::MessageName(view.mailbox, view.folder, entry.uid()));
  out.set_uid(entry.uid());
  out.set_size_bytes(entry.size());
  *out.mutable_arrival_time() = ToTimestamp(entry.arrival_us());
  out.set_sender(entry.envelope().sender());
  out.set_recipient(entry.envelope().recipient());
  out.set_transaction_id(absl::BytesToHexString(entry.transaction_id()));
  out.set_modseq(entry.modseq());
  out.set_crc32c(entry.crc32c());
  for (int flag = v1::Flag_MIN + 1; flag <= v1::Flag_MAX; ++flag) {
    if ((entry.flags() & BitOf(flag)) != 0) out.add_flags(static_cast<v1::Flag>(flag));
  }
  *out.mutable_keywords() = entry.keywords();
  out.set_request_id(entry.request_id());
  out.set_ret(static_cast<v1::Ret>(entry.envelope().ret()));
  out.set_envid(entry.envelope().envid());
  for (const stored::v1::DsnRecipient& dsn : entry.envelope().dsn_recipients()) {
    v1::DsnRecipient& recipient = *out.add_dsn_recipients();
    recipient.set_address(dsn.address());
    for (const uint32_t notify : dsn.notify()) recipient.add_notify(static_cast<v1::Notify>(notify));
    recipient.set_orcpt(dsn.orcpt());
  }
  return out;
}

absl::StatusOr<stored::v1::Limit> LimitOf(absl::string_view field, const v1::Limit& limit, bool may_inherit) {
  stored::v1::Limit out;
  switch (limit.kind()) {
    case v1::Limit::KIND_UNSPECIFIED:
      out.set_kind(may_inherit ? stored::v1::Limit::INHERIT : stored::v1::Limit::UNLIMITED);
      break;
    case v1::Limit::VALUE:
      out.set_kind(stored::v1::Limit::VALUE);
      break;
    case v1::Limit::UNLIMITED:
      out.set_kind(stored::v1::Limit::UNLIMITED);
      break;
    case v1::Limit::INHERIT:
      if (!may_inherit) {
        return mail::InvalidField(absl::StrCat(field, ".kind"), "is INHERIT, and there is no level above");
      }
      out.set_kind(stored::v1::Limit::INHERIT);
      break;
    default:
      return mail::InvalidField(absl::StrCat(field, ".kind"),
                                absl::StrCat("is ", limit.kind(), ", not a kind of limit"));
  }
  if (limit.value() != 0 && limit.kind() != v1::Limit::VALUE) {
    return mail::InvalidField(absl::StrCat(field, ".value"),
                              absl::StrCat("is ", limit.value(), ", and the kind is not VALUE"));
  }
  if (limit.value() > quota::kUnlimited) {
    return mail::InvalidField(absl::StrCat(field, ".value"),
                              absl::StrCat("is ", limit.value(), ", above 2^62"));
  }
  out.set_value(limit.value());
  return out;
}

absl::StatusOr<int64_t> MicrosOf(absl::string_view field, const google::protobuf::Timestamp& time) {
  // 0001-01-01 to 9999-12-31, as google.protobuf.Timestamp says.
  if (time.seconds() < -62135596800 || time.seconds() > 253402300799 || time.nanos() < 0 ||
      time.nanos() > 999'999'999) {
    return mail::InvalidField(field, "is not a time of the years 1 to 9999");
  }
  return time.seconds() * 1'000'000 + time.nanos() / 1000;
}

absl::StatusOr<uint32_t> FlagsOf(absl::string_view field, const google::protobuf::RepeatedField<int>& flags) {
  uint32_t bits = 0;
  for (const int flag : flags) {
    if (flag <= v1::FLAG_UNSPECIFIED || !v1::Flag_IsValid(flag)) {
      return mail::InvalidField(field, absl::StrCat("has ", flag, ", not a flag"));
    }
    bits |= BitOf(flag);
  }
  return bits;
}

absl::Status CheckRequestId(absl::string_view field, absl::string_view request_id) {
  if (request_id.empty() || request_id.size() == 16) return absl::OkStatus();
  return mail::InvalidField(field,
                            absl::StrCat("has ", request_id.size(), " octets, must have 16 or be absent"));
}

absl::StatusOr<size_t> PageSizeOf(int32_t page_size) {
  if (page_size < 0) return mail::InvalidField("page_size", absl::StrCat("is ", page_size));
  return static_cast<size_t>(page_size == 0 ? kDefaultPage : std::min(page_size, kMaxPage));
}

std::string PageToken(absl::string_view list, absl::string_view after) {
  return after.empty() ? "" : absl::WebSafeBase64Escape(absl::StrCat(list, "\n", after));
}

absl::StatusOr<std::string> PageAfter(absl::string_view list, absl::string_view token) {
  if (token.empty()) return std::string();
  std::string decoded;
  absl::string_view rest;
  if (absl::WebSafeBase64Unescape(token, &decoded)) rest = decoded;
  if (!absl::ConsumePrefix(&rest, absl::StrCat(list, "\n")) || rest.empty()) {
    return mail::InvalidField("page_token", "is not a token of this list");
  }
  return std::string(rest);
}

}  // namespace restante::rpc
