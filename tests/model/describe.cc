#include "tests/model/describe.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "restante/v1/error.pb.h"
#include "server/mail/errors.h"

namespace restante::model {

std::string Describe(const absl::Status& status) {
  if (status.ok()) return "OK";
  // Its text ends with the current etag.
  if (absl::StrContains(status.message(), "the etag given")) return "ABORTED: another etag";
  std::string text = absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message());
  if (const absl::optional<absl::Cord> payload = status.GetPayload(mail::kErrorInfoUrl)) {
    v1::ErrorInfo info;
    info.ParseFromString(std::string(*payload));
    absl::StrAppend(&text, " ", info.ShortDebugString());
  }
  return text;
}

std::string Describe(v1::Answer answer) {
  // Each engine has its own words for it.
  if (answer.has_refused() && answer.refused().outcome() == v1::OUTCOME_REQUEST_ID_ABORTED)
    answer.mutable_refused()->clear_detail();
  return answer.ShortDebugString();
}

std::string Describe(const v1::Decision& decision) { return decision.ShortDebugString(); }
std::string Describe(const v1::GetReceiptResponse& response) { return response.ShortDebugString(); }

std::string Describe(const mail::DomainView& view) {
  return absl::StrCat(view.head.ShortDebugString(), " used ", view.used_bytes, " in ", view.used_messages,
                      " reserved ", view.reserved.bytes, " in ", view.reserved.messages, " mailboxes ",
                      view.mailboxes);
}

std::string Describe(const mail::MailboxView& view) {
  mail::stored::Head head = view.head;
  head.mutable_mailbox()->clear_domain();
  for (auto& folder : *head.mutable_mailbox()->mutable_folders()) folder.clear_uid_validity();
  return absl::StrCat(head.ShortDebugString(), " reserved ", view.reserved.bytes, " in ",
                      view.reserved.messages, " effective ", view.effective_bytes, " in ",
                      view.effective_messages);
}

std::string Describe(const mail::AliasView& view) {
  mail::stored::DirectoryAddress entry = view.entry;
  entry.clear_mailbox();
  return absl::StrCat(view.address.ToString(), " to ", view.mailbox.ToString(), " ",
                      entry.ShortDebugString());
}

std::string Describe(const mail::MessageView& view) {
  mail::stored::Entry entry = view.entry;
  entry.clear_body();
  return absl::StrCat(view.mailbox, "/", view.folder, " ", entry.ShortDebugString());
}

std::string Describe(const mail::EntrySums& sums) {
  return absl::StrCat(sums.bytes, " bytes in ", sums.messages, ", exempt ", sums.exempt_bytes, " in ",
                      sums.exempt_messages);
}

std::string Describe(const mail::Audit& audit) {
  std::string text = absl::StrCat("recorded ", Describe(audit.recorded), "; actual ", Describe(audit.actual),
                                  audit.corrected ? "; corrected" : "");
  for (const auto* problems : {&audit.misplaced, &audit.too_early}) {
    for (const std::string& problem : *problems) absl::StrAppend(&text, "; ", problem);
  }
  return text;
}

std::string Difference(const std::string& embedded, const std::string& memory) {
  const std::vector<std::string> as = absl::StrSplit(embedded, '\n'), bs = absl::StrSplit(memory, '\n');
  for (size_t i = 0; i < std::max(as.size(), bs.size()); ++i) {
    const std::string x = i < as.size() ? as[i] : "(nothing)", y = i < bs.size() ? bs[i] : "(nothing)";
    if (x != y) return absl::StrCat("\n  embedded: ", x, "\n  memory:   ", y);
  }
  return "";
}

}  // namespace restante::model
