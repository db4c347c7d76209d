#include "client/policy/refusal_log.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace restante::policy {

void LogRefusal(const Refusal& refusal) {
  if (!LogEnabled(LogLevel::kInfo)) return;
  const PolicyRequest& request = refusal.request;
  std::vector<LogField> fields = {{"state", request.protocol_state},
                                  {"client", request.client_address},
                                  {"helo", request.helo_name},
                                  {"from", absl::StrCat("<", request.sender, ">")},
                                  {"to", absl::StrCat("<", request.recipient, ">")},
                                  {"instance", request.instance},
                                  {"reply", refusal.action}};
  if (request.size.has_value()) fields.emplace_back("size", *request.size);
  if (!refusal.decision.mailbox().empty()) fields.emplace_back("mailbox", refusal.decision.mailbox());
  if (refusal.decision.has_shortage()) {
    const v1::Shortage& shortage = refusal.decision.shortage();
    const std::string unit = shortage.counts_messages() ? "messages" : "bytes";
    fields.emplace_back("limit", absl::StrCat(shortage.limit(), " ", unit));
    fields.emplace_back("used", shortage.used());
    fields.emplace_back("reserved", shortage.reserved());
    fields.emplace_back("needed", shortage.needed());
  }
  Log(LogLevel::kInfo, "policy refusal", fields);
}

}  // namespace restante::policy
