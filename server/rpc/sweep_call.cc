#include "server/rpc/sweep_call.h"

#include <utility>

#include "server/rpc/progress_call.h"

namespace restante::rpc {
namespace {

Task<absl::StatusOr<v1::SweepResponse>> Sweep(engine::Engine* engine, Report<v1::SweepResponse> report) {
  CO_RETURN_IF_ERROR(co_await Await<absl::Status>([&](auto done) {
    engine->SweepOrphans(
        [&report](engine::SweepProgress progress) {
          v1::SweepResponse response;
          response.set_checked_bodies(progress.checked_bodies);
          response.set_total_bodies(progress.total_bodies);
          response.set_removed_bodies(progress.removed_bodies);
          response.set_removed_bytes(progress.removed_bytes);
          return report(std::move(response));
        },
        std::move(done));
  }));
  co_return v1::SweepResponse();
}

}  // namespace

Task<absl::Status> ServeSweep(engine::Engine* engine, Call& call, const v1::SweepRequest*) {
  auto run = ProgressCall<v1::SweepResponse>::Run(
      call, [engine](Report<v1::SweepResponse> report) { return Sweep(engine, std::move(report)); });
  absl::Status status = co_await run;
  co_return std::move(status);
}

}  // namespace restante::rpc
