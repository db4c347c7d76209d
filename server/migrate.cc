#include "server/migrate.h"

#include <cinttypes>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/base/task.h"
#include "server/engine/moving/marks.h"
#include "server/engine/moving/move.h"
#include "server/mail/uid_validities.h"
#include "server/place.h"

namespace restante {
namespace {

void Tell(const moving::MoveProgress& progress) {
  std::printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
              progress.comparing ? "comparing" : "copying", progress.mailboxes, progress.total_mailboxes,
              progress.octets, progress.total_octets);
  std::fflush(stdout);
}

// Gives it up. Where the store has another life elsewhere, its UIDs have been given to other
// messages there: whoever has read those must not take these for them.
absl::Status Stay(const Migration& migration) {
  const Clock* const clock = Clock::System();
  ASSIGN_OR_RETURN(const Place from, Place::Parse("from", migration.from));
  ASSIGN_OR_RETURN(const std::unique_ptr<engine::Engine> engine,
                   OpenToMove(from, migration.ceph, /*create=*/false));
  ASSIGN_OR_RETURN(const engine::stored::House house, moving::ReadHouse(engine.get()));
  absl::StatusOr<uint64_t> folders = 0;
  if (house.state() == engine::stored::House::MOVED_OUT) {
    absl::Notification renewed;
    Start<absl::StatusOr<uint64_t>>(
        mail::RenewUidValidities(engine.get(), house.time_us(), clock->WallMicros()),
        [&](absl::StatusOr<uint64_t> result) {
          folders = std::move(result);
          renewed.Notify();
        });
    renewed.WaitForNotification();
    RETURN_IF_ERROR(folders.status());
  }
  if (const absl::Status stayed = moving::Stay(engine.get(), clock); !stayed.ok()) {
    return Annotate(stayed, from.Name(migration.ceph));
  }
  std::printf("stayed %" PRIu64 "\n", *folders);
  return absl::OkStatus();
}

}  // namespace

void Migration::Register(OptionTable& options) {
  options.String("from", &from, "PLACE", "Where the store is: embedded:DIR, or rados.");
  options.String("to", &to, "PLACE",
                 "Where it goes: embedded:DIR, missing or empty, or rados, a cluster that `restante-store "
                 "init-cluster` has prepared.");
  options.Bool("stay", &stay,
               "Give the move up: the store may be served from --from again. Where the move was complete, "
               "what came to the other place since is not here, and every folder gets a new UIDVALIDITY.");
  ceph.Register(options, "File with that user's key; empty: as ceph.conf says.");
}

absl::Status Migration::Check() const {
  ASSIGN_OR_RETURN(const Place here, Place::Parse("from", from));
  if (stay) {
    if (!to.empty())
      return absl::InvalidArgumentError(absl::StrCat("--to ", to, ": goes nowhere with --stay"));
    return here.rados ? ceph.Check() : absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Place there, Place::Parse("to", to));
  if (here == there) return absl::InvalidArgumentError(absl::StrCat("--to ", to, ": is where the store is"));
  return here.rados || there.rados ? ceph.Check() : absl::OkStatus();
}

absl::Status Migrate(const Migration& migration) {
  if (migration.stay) return Stay(migration);
  ASSIGN_OR_RETURN(const Place here, Place::Parse("from", migration.from));
  ASSIGN_OR_RETURN(const Place there, Place::Parse("to", migration.to));
  moving::MoveOptions options;
  options.from = here.Name(migration.ceph);
  options.to = there.Name(migration.ceph);
  options.report = Tell;
  ASSIGN_OR_RETURN(const std::unique_ptr<engine::Engine> from,
                   OpenToMove(here, migration.ceph, /*create=*/false));
  ASSIGN_OR_RETURN(const std::unique_ptr<engine::Engine> to,
                   OpenToMove(there, migration.ceph, /*create=*/true));
  ASSIGN_OR_RETURN(const moving::Moved moved, moving::MoveStore(from.get(), to.get(), options));
  std::printf("moved %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
              moved.mailboxes, moved.messages, moved.octets, moved.bodies, moved.receipts, moved.events);
  std::fflush(stdout);
  return absl::OkStatus();
}

int RunMigrate(int argc, const char* const* argv) {
  Migration migration;
  OptionTable options("restante-store migrate",
                      "Moves a store that is not served to another place, compares both, and ends. "
                      "Interrupted, the same command goes on.");
  migration.Register(options);
  if (std::optional<int> status = options.Parse(argc, argv, [&] { return migration.Check(); }))
    return *status;
  if (const absl::Status log = InitLog("restante-store migrate", "text", "warning"); !log.ok()) return 2;
  const absl::Status done = Migrate(migration);
  if (done.ok()) return 0;
  std::fprintf(stderr, "restante-store migrate: %s\n", std::string(done.message()).c_str());
  return 1;
}

}  // namespace restante
