#include "client/smtp/transaction_log.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace restante::smtp {
namespace {

void AddForwarded(const Forwarded& forwarded, std::vector<LogField>* fields) {
  const auto add = [&](absl::string_view key, const std::string& value) {
    if (!value.empty()) fields->emplace_back(key, value);
  };
  add("xforward", forwarded.ident);
  add("xforward_name", forwarded.name);
  add("xforward_address", forwarded.address);
  add("xforward_port", forwarded.port);
  add("xforward_helo", forwarded.helo);
  add("xforward_protocol", forwarded.protocol);
  add("xforward_source", forwarded.source);
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
  if (record.forwarded != nullptr) AddForwarded(*record.forwarded, &fields);
  if (!record.tls.empty()) fields.emplace_back("tls", record.tls);
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

void LogError(const CommandError& error) {
  const bool ends = error.reply.code.code == 421 || error.reply.code == kBadChunk;
  const LogLevel level = error.errors == 1 || ends ? LogLevel::kInfo : LogLevel::kDebug;
  if (!LogEnabled(level)) return;
  Log(level, "command refused",
      {{"client", error.client},
       {"helo", error.helo},
       {"protocol", error.protocol},
       {"reply", absl::StrCat(FormatCode(error.reply.code), " ", error.reply.text)},
       {"errors", error.errors}});
}

}  // namespace restante::smtp
