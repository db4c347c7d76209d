#include "server/mail/quota_warnings.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/task.h"
#include "server/mail/address.h"
#include "server/mail/append.h"
#include "server/mail/engine_calls.h"
#include "server/mail/names.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

constexpr char kWarningKey[] = "w";
// No caller has this name: a file that names callers cannot hold it.
const std::string& Caller() {
  static const auto& name = *new std::string("\0quota-warnings", 15);
  return name;
}

// 16 octets.
std::string RequestIdOf(const stored::Event& event) {
  std::string id;
  for (const uint64_t number : {event.sequence(), event.quota().number()}) {
    for (int shift = 56; shift >= 0; shift -= 8) id.push_back(static_cast<char>(number >> shift));
  }
  return id;
}

}  // namespace

QuotaWarnings::QuotaWarnings(Messages* messages, EventFeed* feed, Options options)
    : messages_(messages),
      engine_(messages->engine()),
      options_(std::move(options)),
      consumer_(feed, options_.consumer, [this](const stored::Event& event) { return Wait(Warn(event)); }) {}

Task<absl::Status> QuotaWarnings::Warn(stored::Event event) {
  const stored::QuotaEvent& quota = event.quota();
  if (!event.has_quota() || quota.domain() || quota.percent() <= quota.previous_percent()) {
    co_return absl::OkStatus();
  }
  std::vector<std::string> keys = {kWarningKey};
  CO_ASSIGN_OR_RETURN(const engine::ReadResult read,
                      co_await Read(engine_, PartitionId::Mailbox(quota.number()), std::move(keys)));
  if (!read.head || read.head->mailbox().state() != stored::MailboxHead::ACTIVE) co_return absl::OkStatus();
  if (read.head->mailbox().reached_percent() < quota.percent()) co_return absl::OkStatus();
  if (const auto it = read.values.find(kWarningKey); it != read.values.end()) {
    stored::QuotaWarning last;
    last.ParseFromString(it->second);
    const uint64_t interval = static_cast<uint64_t>(absl::ToInt64Seconds(options_.interval));
    if (event.sequence() <= last.sequence() || event.store_time_s() < last.store_time_s() + interval) {
      co_return absl::OkStatus();
    }
  }
  absl::Status put = co_await Put(event);
  if (absl::IsNotFound(put)) co_return absl::OkStatus();
  CO_RETURN_IF_ERROR(put);
  absl::Status noted = co_await Note(std::move(event));
  co_return std::move(noted);
}

Task<absl::Status> QuotaWarnings::Put(stored::Event event) {
  // By its present name.
  CO_ASSIGN_OR_RETURN(const engine::ReadResult read,
                      co_await Read(engine_, PartitionId::Mailbox(event.quota().number()), {}));
  if (!read.head) co_return absl::NotFoundError("the mailbox is gone");
  event.mutable_quota()->set_name(read.head->mailbox().address());
  std::string text = options_.text.Fill(event, options_.hostname);
  AppendHeader header;
  CO_ASSIGN_OR_RETURN(header.parent.mailbox, ParseAddress(event.quota().name()));
  header.caller = Caller();
  header.request_id = RequestIdOf(event);
  header.size = text.size();
  header.ignore_quota = true;
  header.unmeasured = true;
  Append append(messages_);
  const absl::StatusOr<std::optional<MessageView>> begun = co_await append.Begin(std::move(header));
  // Under this id there is one already, with another text: the template has changed,
  // or the mailbox was renamed.
  if (absl::IsInvalidArgument(begun.status())) co_return absl::OkStatus();
  if (!begun.ok()) co_return begun.status();
  if (*begun) co_return absl::OkStatus();
  CO_RETURN_IF_ERROR(co_await append.Write(std::move(text)));
  const absl::StatusOr<MessageView> stored_message = co_await append.Finish();
  if (!stored_message.ok()) co_return stored_message.status();
  ++sent_;
  Log(LogLevel::kInfo, "the owner of a mailbox was warned",
      {{"mailbox", event.quota().name()},
       {"percent", absl::StrCat(event.quota().percent())},
       {"event", absl::StrCat(event.sequence())},
       {"uid", absl::StrCat(stored_message->entry.uid())}});
  co_return absl::OkStatus();
}

Task<absl::Status> QuotaWarnings::Note(stored::Event event) {
  stored::QuotaWarning warning;
  warning.set_sequence(event.sequence());
  warning.set_store_time_s(event.store_time_s());
  const std::string value = warning.SerializeAsString();
  absl::Status status =
      co_await Update(engine_, PartitionId::Mailbox(event.quota().number()), {},
                      [&value](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                        if (view.head == nullptr) return engine::NoChange{};
                        engine::Change change;
                        change.head = *view.head;
                        change.puts.emplace_back(kWarningKey, value);
                        change.unmeasured = true;
                        return change;
                      });
  co_return std::move(status);
}

}  // namespace restante::mail
