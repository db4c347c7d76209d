#include "server/migrate.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/base/task.h"
#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/moving/marks.h"
#include "server/engine/moving/move.h"
#include "server/engine/rados/rados_engine.h"
#include "server/mail/uid_validities.h"

namespace restante {
namespace {

constexpr absl::string_view kEmbedded = "embedded:";
constexpr absl::string_view kRados = "rados";
// Nothing is too old while it is moved: what the store keeps is its own to decide.
constexpr uint64_t kEver = uint64_t{100} * 365 * 24 * 60 * 60;

// One that runs records no thresholds, which are told where it is served.
engine::QuotaRules NoRules() {
  engine::QuotaRules rules;
  rules.thresholds.clear();
  return rules;
}

absl::Status CheckPlace(absl::string_view option, const std::string& place) {
  if (place == kRados || (absl::StartsWith(place, kEmbedded) && place.size() > kEmbedded.size())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("--", option, " ", place.empty() ? "``" : place,
                                                 ": is no place; embedded:DIR is a data directory, rados "
                                                 "the cluster that --ceph-conf names"));
}

std::string DirectoryOf(const std::string& place) {
  const std::string directory(absl::StripPrefix(place, kEmbedded));
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(directory, error).lexically_normal();
  if (error) return directory;
  if (!path.has_filename()) path = path.parent_path();
  return path.string();
}

// The same each time, for people and to recognise it by.
std::string NameOf(const std::string& place, const CephOptions& ceph) {
  if (place != kRados) return absl::StrCat(kEmbedded, DirectoryOf(place));
  return absl::StrCat(kRados, ":", ceph.pool_index, "+", ceph.pool_body, ceph.name_space.empty() ? "" : "/",
                      ceph.name_space);
}

absl::StatusOr<std::unique_ptr<engine::Engine>> OpenPlace(const std::string& place, const CephOptions& ceph,
                                                          bool create) {
  if (place == kRados) {
    rados::Options options;
    options.ceph_conf = ceph.conf;
    options.ceph_user = ceph.user;
    options.ceph_keyring = ceph.keyring;
    options.pool_index = ceph.pool_index;
    options.pool_body = ceph.pool_body;
    options.name_space = ceph.name_space;
    options.allow_min_size_1 = ceph.allow_min_size_1;
    options.rules = NoRules();
    options.retry_window_seconds = options.event_retention_seconds = kEver;
    options.give_up = [] { std::_Exit(1); };
    return rados::Open(std::move(options));
  }
  embedded::Options options;
  options.data_dir = DirectoryOf(place);
  options.create = create;
  options.rules = NoRules();
  options.retry_window_seconds = options.event_retention_seconds = kEver;
  options.compaction_bytes_per_second = 0;
  return embedded::Open(std::move(options));
}

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
  const std::string name = NameOf(migration.from, migration.ceph);
  ASSIGN_OR_RETURN(const std::unique_ptr<engine::Engine> engine,
                   OpenPlace(migration.from, migration.ceph, /*create=*/false));
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
    return Annotate(stayed, name);
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
  RETURN_IF_ERROR(CheckPlace("from", from));
  if (stay && !to.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--to ", to, ": goes nowhere with --stay"));
  }
  if (!stay) RETURN_IF_ERROR(CheckPlace("to", to));
  if (from == to || (from != kRados && !stay && to != kRados && DirectoryOf(from) == DirectoryOf(to))) {
    return absl::InvalidArgumentError(absl::StrCat("--to ", to, ": is where the store is"));
  }
  return from == kRados || to == kRados ? ceph.Check() : absl::OkStatus();
}

absl::Status Migrate(const Migration& migration) {
  if (migration.stay) return Stay(migration);
  moving::MoveOptions options;
  options.from = NameOf(migration.from, migration.ceph);
  options.to = NameOf(migration.to, migration.ceph);
  options.report = Tell;
  ASSIGN_OR_RETURN(const std::unique_ptr<engine::Engine> from,
                   OpenPlace(migration.from, migration.ceph, /*create=*/false));
  ASSIGN_OR_RETURN(const std::unique_ptr<engine::Engine> to,
                   OpenPlace(migration.to, migration.ceph, /*create=*/true));
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
