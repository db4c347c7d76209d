// Between the API's types and the mail domain's; and the checks of fields that
// several services share. Errors are kInvalidArgument and name the field.
#ifndef RESTANTE_SERVER_RPC_CONVERT_H_
#define RESTANTE_SERVER_RPC_CONVERT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/timestamp.pb.h"
#include "restante/v1/mailbox.pb.h"
#include "restante/v1/message.pb.h"
#include "server/mail/errors.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"

namespace restante::rpc {

v1::Domain ToApi(const mail::DomainView& view);
v1::Mailbox ToApi(const mail::MailboxView& view);
v1::Alias ToApi(const mail::AliasView& view);
v1::Message ToApi(const mail::MessageView& view);
v1::Usage ToUsage(uint64_t bytes, uint64_t messages, const engine::Reserved& reserved);
// quota::kUnlimited and above become UNLIMITED.
v1::Limit ToLimit(uint64_t effective);
google::protobuf::Timestamp ToTimestamp(int64_t micros);

// `may_inherit`: whether there is a level above.
absl::StatusOr<stored::v1::Limit> LimitOf(absl::string_view field, const v1::Limit& limit, bool may_inherit);
// Microseconds since 1970.
absl::StatusOr<int64_t> MicrosOf(absl::string_view field, const google::protobuf::Timestamp& time);
// As an entry has them (stored.proto).
absl::StatusOr<uint32_t> FlagsOf(absl::string_view field, const google::protobuf::RepeatedField<int>& flags);
// 16 octets, or empty for none.
absl::Status CheckRequestId(absl::string_view field, absl::string_view request_id);
// 1 to 1000.
absl::StatusOr<size_t> PageSizeOf(int32_t page_size);

// A page token names the list that it continues (`list`: method and filters), so
// that it does not continue another one.
std::string PageToken(absl::string_view list, absl::string_view after);
// What it continues after; empty for an empty token.
absl::StatusOr<std::string> PageAfter(absl::string_view list, absl::string_view token);

// A parsed name, or the problem as that of a field.
template <typename T>
absl::StatusOr<T> InField(absl::string_view field, absl::StatusOr<T> parsed) {
  if (parsed.ok()) return parsed;
  return mail::InvalidField(field, parsed.status().message());
}

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_CONVERT_H_
