#include "client/smtp/transaction_log.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace restante::smtp {
namespace {

absl::string_view ToText(TransactionEnd end) {
  switch (end) {
    case TransactionEnd::kStored:
      return "stored";
    case TransactionEnd::kSuppressed:
      return "suppressed";
    case TransactionEnd::kRefused:
      return "refused";
    case TransactionEnd::kAborted:
      return "aborted";
    case TransactionEnd::kUnknown:
      break;
  }
  return "unknown";
}

}  // namespace

void LogTransaction(const TransactionRecord& record) {
  const LogLevel level = record.end == TransactionEnd::kUnknown ? LogLevel::kWarning : LogLevel::kInfo;
  if (!LogEnabled(level)) return;
  std::string recipients, suppressed;
  for (const RecipientRecord& r : record.recipients) {
    absl::StrAppend(&recipients, recipients.empty() ? "" : ", ", "<", r.address, "> ", FormatCode(r.reply));
    if (r.stored_by.empty()) continue;
    absl::StrAppend(&suppressed, suppressed.empty() ? "" : ", ", "<", r.address, "> ", r.stored_by);
  }
  std::vector<LogField> fields = {{"outcome", ToText(record.end)},
                                  {"client", record.client},
                                  {"helo", record.helo},
                                  {"protocol", record.protocol},
                                  {"from", absl::StrCat("<", record.sender, ">")},
                                  {"to", recipients},
                                  {"size", record.size}};
  if (record.declared_size.has_value()) fields.emplace_back("declared_size", *record.declared_size);
  if (record.more_refused > 0) fields.emplace_back("more_refused", record.more_refused);
  // By which transaction each of these has it.
  if (!suppressed.empty()) fields.emplace_back("suppressed", suppressed);
  fields.emplace_back("request_id", absl::BytesToHexString(record.request_id));
  if (!record.transaction_id.empty()) fields.emplace_back("transaction_id", record.transaction_id);
  fields.emplace_back("duration_us", record.duration_micros);
  if (!record.detail.empty()) fields.emplace_back("detail", record.detail);
  Log(level, "transaction", fields);
}

}  // namespace restante::smtp
