// restante-store migrate: a store moves from one engine to another.
#ifndef RESTANTE_SERVER_MIGRATE_H_
#define RESTANTE_SERVER_MIGRATE_H_

#include "absl/status/status.h"
#include "server/base/options.h"
#include "server/ceph_options.h"

namespace restante {

struct Migration {
  // `embedded:DIR` or `rados`.
  std::string from, to;
  bool stay = false;
  CephOptions ceph;

  void Register(OptionTable& options);
  // kInvalidArgument, one line.
  absl::Status Check() const;
};

// Blocks until the store is moved (moving/move.h), or the move is given up.
//
// Tells programs on standard output how it goes: `copying` and `comparing`, each with
// MAILBOXES TOTAL OCTETS TOTAL, now and then, and in the end `moved MAILBOXES MESSAGES
// OCTETS BODIES RECEIPTS EVENTS`, or `stayed FOLDERS` with those that have a new UIDVALIDITY.
absl::Status Migrate(const Migration& migration);

// The command, with its own options; an exit status.
int RunMigrate(int argc, const char* const* argv);

}  // namespace restante

#endif  // RESTANTE_SERVER_MIGRATE_H_
