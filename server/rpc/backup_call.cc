#include "server/rpc/backup_call.h"

#include <utility>

#include "server/rpc/progress_call.h"

namespace restante::rpc {
namespace {

bool Tell(const Report<v1::BackupResponse>& report, engine::UpkeepProgress progress) {
  v1::BackupResponse response;
  response.set_done_bytes(progress.done_bytes);
  response.set_total_bytes(progress.total_bytes);
  for (engine::Damage& found : progress.damages) {
    v1::Damage& damage = *response.add_damages();
    damage.set_file(std::move(found.file));
    damage.set_offset(found.offset);
    damage.set_problem(std::move(found.problem));
  }
  return report(std::move(response));
}

Task<absl::StatusOr<v1::BackupResponse>> Backup(engine::Engine* engine, engine::BackupOptions options,
                                                Report<v1::BackupResponse> report) {
  CO_ASSIGN_OR_RETURN(
      const engine::BackupSummary summary,
      co_await Await<absl::StatusOr<engine::BackupSummary>>([&](auto done) {
        engine->Backup(
            std::move(options),
            [report](engine::UpkeepProgress progress) { return Tell(report, std::move(progress)); },
            std::move(done));
      }));
  v1::BackupResponse response;
  response.set_files(summary.files);
  response.set_bytes(summary.bytes);
  response.set_copied_bytes(summary.copied_bytes);
  response.set_linked_files(summary.linked_files);
  response.set_kept_files(summary.kept_files);
  response.set_bodies(summary.bodies);
  co_return std::move(response);
}

}  // namespace

Task<absl::Status> ServeBackup(engine::Engine* engine, Call& call, const v1::BackupRequest* request) {
  engine::BackupOptions options{.directory = request->directory(),
                                .verify_kept = request->verify_kept(),
                                .bytes_per_second = request->max_bytes_per_second()};
  auto run = ProgressCall<v1::BackupResponse>::Run(
      call, [engine, options = std::move(options)](Report<v1::BackupResponse> report) {
        return Backup(engine, options, std::move(report));
      });
  absl::Status status = co_await run;
  co_return std::move(status);
}

}  // namespace restante::rpc
