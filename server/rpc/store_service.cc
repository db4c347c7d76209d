#include "server/rpc/store_service.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/names.h"
#include "server/mail/overview.h"
#include "server/rpc/backup_call.h"
#include "server/rpc/compact_call.h"
#include "server/rpc/convert.h"
#include "server/rpc/scrub_call.h"
#include "server/rpc/serve.h"
#include "server/rpc/verify_call.h"

namespace restante::rpc {
namespace {

constexpr int kMaxFullest = 100;

}  // namespace

StoreService::StoreService(engine::Engine* engine, mail::Provisioning* provisioning, mail::Messages* messages,
                           mail::Deliveries* deliveries)
    : engine_(engine),
      provisioning_(provisioning),
      deliveries_(deliveries),
      clock_(messages->clock()),
      start_us_(clock_->MonotonicMicros()) {}

grpc::ServerUnaryReactor* StoreService::GetStatus(grpc::CallbackServerContext* context,
                                                  const v1::GetStatusRequest* request,
                                                  v1::StoreStatus* response) {
  return Serve(context, Status(request, response));
}

Task<absl::Status> StoreService::Status(const v1::GetStatusRequest* request, v1::StoreStatus* response) {
  if (request->fullest_count() < 0 || request->fullest_count() > kMaxFullest) {
    co_return mail::InvalidField(
        "fullest_count", absl::StrCat("is ", request->fullest_count(), ", must be 0 to ", kMaxFullest));
  }
  CO_ASSIGN_OR_RETURN(
      const mail::Overview overview,
      co_await mail::ReadOverview(provisioning_, static_cast<size_t>(request->fullest_count())));
  response->set_version(RESTANTE_VERSION);
  const int64_t uptime_us = clock_->MonotonicMicros() - start_us_;
  response->mutable_uptime()->set_seconds(uptime_us / 1'000'000);
  response->mutable_uptime()->set_nanos(static_cast<int32_t>(uptime_us % 1'000'000 * 1000));
  response->set_engine(std::string(engine_->name()));
  *response->mutable_capacity() = deliveries_->GetCapacity();
  response->set_domain_count(overview.domains);
  response->set_mailbox_count(overview.mailboxes);
  *response->mutable_usage() = ToUsage(overview.used_bytes, overview.used_messages, overview.reserved);
  response->set_stored_messages(deliveries_->counters().stored);
  response->set_refused_transactions(deliveries_->counters().refused);
  response->set_aborted_transactions(deliveries_->counters().aborted);
  for (const auto& [name, value] : engine_->Figures()) {
    (*response->mutable_engine_figures())[name] = value;
    if (name == "open_transactions") response->set_open_transactions(value);
  }
  if (std::optional<engine::ScrubResult> last = engine_->LastScrub()) {
    v1::ScrubResult& out = *response->mutable_last_scrub();
    *out.mutable_end_time() = ToTimestamp(last->end_us);
    out.mutable_duration()->set_seconds(last->duration_us / 1'000'000);
    out.mutable_duration()->set_nanos(static_cast<int32_t>(last->duration_us % 1'000'000 * 1000));
    out.set_checked_bytes(last->bytes);
    out.set_damage_count(last->damages);
    for (mail::NamedDamage& damage : co_await mail::NameDamages(engine_, std::move(last->first_damages))) {
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

grpc::ServerWriteReactor<v1::VerifyResponse>* StoreService::Verify(grpc::CallbackServerContext*,
                                                                   const v1::VerifyRequest* request) {
  return StartVerify(engine_, request->repair());
}

grpc::ServerWriteReactor<v1::ScrubResponse>* StoreService::Scrub(grpc::CallbackServerContext*,
                                                                 const v1::ScrubRequest* request) {
  return StartScrub(engine_, request->max_bytes_per_second());
}

grpc::ServerWriteReactor<v1::CompactResponse>* StoreService::Compact(grpc::CallbackServerContext*,
                                                                     const v1::CompactRequest*) {
  return StartCompact(engine_);
}

grpc::ServerWriteReactor<v1::BackupResponse>* StoreService::Backup(grpc::CallbackServerContext*,
                                                                   const v1::BackupRequest* request) {
  return StartBackup(engine_, *request);
}

}  // namespace restante::rpc
