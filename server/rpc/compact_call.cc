#include "server/rpc/compact_call.h"

#include <utility>

#include "server/rpc/progress_call.h"

namespace restante::rpc {
namespace {

Task<absl::StatusOr<v1::CompactResponse>> Compact(engine::Engine* engine,
                                                  Report<v1::CompactResponse> report) {
  CO_RETURN_IF_ERROR(co_await Await<absl::Status>([&](auto done) {
    engine->Compact(
        [&report](const engine::UpkeepProgress& progress) {
          v1::CompactResponse response;
          response.set_reclaimed_bytes(progress.done_bytes);
          response.set_total_bytes(progress.total_bytes);
          return report(std::move(response));
        },
        std::move(done));
  }));
  co_return v1::CompactResponse();
}

}  // namespace

Task<absl::Status> ServeCompact(engine::Engine* engine, Call& call, const v1::CompactRequest*) {
  auto run = ProgressCall<v1::CompactResponse>::Run(
      call, [engine](Report<v1::CompactResponse> report) { return Compact(engine, std::move(report)); });
  absl::Status status = co_await run;
  co_return std::move(status);
}

}  // namespace restante::rpc
