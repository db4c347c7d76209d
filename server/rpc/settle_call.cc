#include "server/rpc/settle_call.h"

#include <utility>

#include "server/rpc/progress_call.h"

namespace restante::rpc {
namespace {

Task<absl::StatusOr<v1::SettleResponse>> Settle(engine::Engine* engine, Report<v1::SettleResponse> report) {
  CO_RETURN_IF_ERROR(co_await Await<absl::Status>([&](auto done) {
    engine->SettleDead(
        [&report](engine::SettleProgress progress) {
          v1::SettleResponse response;
          response.set_checked_mailboxes(progress.checked_mailboxes);
          response.set_total_mailboxes(progress.total_mailboxes);
          response.set_dead_stores(progress.dead_stores);
          response.set_settled_reservations(progress.settled_reservations);
          return report(std::move(response));
        },
        std::move(done));
  }));
  co_return v1::SettleResponse();
}

}  // namespace

Task<absl::Status> ServeSettle(engine::Engine* engine, Call& call, const v1::SettleRequest*) {
  auto run = ProgressCall<v1::SettleResponse>::Run(
      call, [engine](Report<v1::SettleResponse> report) { return Settle(engine, std::move(report)); });
  absl::Status status = co_await run;
  co_return std::move(status);
}

}  // namespace restante::rpc
