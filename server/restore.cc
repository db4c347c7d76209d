#include "server/restore.h"

#include <cinttypes>
#include <cstdio>
#include <utility>

#include "absl/synchronization/notification.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/base/task.h"
#include "server/engine/embedded/restore.h"
#include "server/mail/uid_validities.h"

namespace restante {
namespace {

constexpr int64_t kTellEveryMicros = 200'000;

absl::StatusOr<uint64_t> Renew(engine::Engine& engine, int64_t backup_us, int64_t restore_us) {
  absl::Notification ended;
  absl::StatusOr<uint64_t> folders = 0;
  Start<absl::StatusOr<uint64_t>>(mail::RenewUidValidities(&engine, backup_us, restore_us),
                                  [&](absl::StatusOr<uint64_t> result) {
                                    folders = std::move(result);
                                    ended.Notify();
                                  });
  ended.WaitForNotification();
  return folders;
}

}  // namespace

absl::Status RestoreBackup(embedded::Options options, const std::string& backup, bool accept_damage) {
  const Clock& clock = *options.clock;
  const std::string data_dir = options.data_dir;
  int64_t told_us = 0;
  embedded::RestoreObserver observer;
  observer.progress = [&](uint64_t done, uint64_t total) {
    const int64_t now_us = clock.MonotonicMicros();
    if (now_us - told_us < kTellEveryMicros && done != total) return;
    told_us = now_us;
    std::printf("restoring %" PRIu64 " %" PRIu64 "\n", done, total);
    std::fflush(stdout);
  };
  observer.damaged = [](const std::string& line) { Log(LogLevel::kWarning, line); };
  uint64_t folders = 0;
  ASSIGN_OR_RETURN(const embedded::Restored restored,
                   embedded::Restore(
                       std::move(options), backup, accept_damage, observer,
                       [&](engine::Engine& engine, const embedded::BackupManifest& manifest) -> absl::Status {
                         ASSIGN_OR_RETURN(folders, Renew(engine, manifest.wall_us, clock.WallMicros()));
                         return absl::OkStatus();
                       }));
  uint64_t octets = 0;
  for (const embedded::BackupFile& file : restored.manifest.files) octets += file.bytes;
  Log(LogLevel::kInfo, "restored",
      {{"data_dir", data_dir}, {"backup", backup}, {"group", restored.manifest.group}});
  std::printf("restored %zu %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", restored.manifest.files.size(), octets,
              folders, restored.damaged_files);
  std::fflush(stdout);
  return absl::OkStatus();
}

}  // namespace restante
