#include "server/rpc/store_calls.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/names.h"
#include "server/mail/overview.h"
#include "server/rpc/convert.h"
#include "server/rpc/scrub_call.h"

namespace restante::rpc::calls {
namespace {

constexpr int kMaxFullest = 100;

}  // namespace

Task<absl::Status> GetStatus(const StoreParts* store, const v1::GetStatusRequest* request,
                             v1::StoreStatus* response) {
  if (request->fullest_count() < 0 || request->fullest_count() > kMaxFullest) {
    co_return mail::InvalidField(
        "fullest_count", absl::StrCat("is ", request->fullest_count(), ", must be 0 to ", kMaxFullest));
  }
  CO_ASSIGN_OR_RETURN(
      const mail::Overview overview,
      co_await mail::ReadOverview(store->provisioning, static_cast<size_t>(request->fullest_count())));
  response->set_version(RESTANTE_VERSION);
  const int64_t uptime_us = store->clock->MonotonicMicros() - store->start_us;
  response->mutable_uptime()->set_seconds(uptime_us / 1'000'000);
  response->mutable_uptime()->set_nanos(static_cast<int32_t>(uptime_us % 1'000'000 * 1000));
  response->set_engine(std::string(store->engine->name()));
  *response->mutable_capacity() = store->deliveries->GetCapacity();
  response->set_domain_count(overview.domains);
  response->set_mailbox_count(overview.mailboxes);
  *response->mutable_usage() = ToUsage(overview.used_bytes, overview.used_messages, overview.reserved);
  response->set_stored_messages(store->deliveries->counters().stored);
  response->set_refused_transactions(store->deliveries->counters().refused);
  response->set_aborted_transactions(store->deliveries->counters().aborted);
  for (const auto& [name, value] : store->engine->Figures()) {
    (*response->mutable_engine_figures())[name] = value;
    if (name == "open_transactions") response->set_open_transactions(value);
  }
  if (std::optional<engine::ScrubResult> last = store->engine->LastScrub()) {
    v1::ScrubResult& out = *response->mutable_last_scrub();
    *out.mutable_end_time() = ToTimestamp(last->end_us);
    out.mutable_duration()->set_seconds(last->duration_us / 1'000'000);
    out.mutable_duration()->set_nanos(static_cast<int32_t>(last->duration_us % 1'000'000 * 1000));
    out.set_checked_bytes(last->bytes);
    out.set_damage_count(last->damages);
    for (mail::NamedDamage& damage :
         co_await mail::NameDamages(store->engine, std::move(last->first_damages))) {
      *out.add_first_damages() = ToApi(std::move(damage));
    }
  }
  for (const mail::MailboxFill& fill : overview.fullest) {
    const stored::v1::MailboxHead& head = fill.mailbox.head.mailbox();
    v1::MailboxFill& out = *response->add_fullest();
    out.set_mailbox(mail::MailboxName(head.address()));
    *out.mutable_usage() = ToUsage(head.used_bytes(), head.used_messages(), fill.mailbox.reserved);
    *out.mutable_max_bytes() = ToLimit(fill.mailbox.effective_bytes);
    *out.mutable_max_messages() = ToLimit(fill.mailbox.effective_messages);
    out.set_share(fill.share);
  }
  co_return absl::OkStatus();
}

}  // namespace restante::rpc::calls
