// What has to change for the store to have what a directory says.
#ifndef RESTANTE_CLIENT_CLI_DIRECTORY_PLAN_H_
#define RESTANTE_CLIENT_CLI_DIRECTORY_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/directory_rows.h"
#include "restante/client.h"
#include "restante/v1/mailbox.pb.h"

namespace restante::cli {

// One call. Of the requests the one of its kind and action is filled.
struct DirectoryChange {
  enum class Action { kCreate, kUpdate, kDisable };

  size_t line = 0;  // Of the row; 0: there is none.
  DirectoryRow::Kind kind = DirectoryRow::Kind::kMailbox;
  Action action = Action::kCreate;
  std::string text;  // `+ mailbox alice@example.org bytes=1G`
  v1::CreateDomainRequest create_domain;
  v1::UpdateDomainRequest update_domain;
  v1::CreateMailboxRequest create_mailbox;
  v1::UpdateMailboxRequest update_mailbox;
  v1::CreateAliasRequest create_alias;
  v1::UpdateAliasRequest update_alias;

  absl::Status Make(Client& client) const;
};

struct DirectoryPlan {
  // To be made one list after another: of changes in one list none needs another.
  std::vector<std::vector<DirectoryChange>> steps;
  size_t unchanged = 0;  // Rows.
  // Of the mailboxes of the domains that the rows name: those that accept mail, and how
  // many of these are to be disabled.
  size_t enabled = 0, disabled = 0;
};

// Reads what there is, of the domains that the rows name, and compares. With
// `disable_missing` mailboxes that have no row are disabled.
absl::StatusOr<DirectoryPlan> PlanDirectory(Client& client, const std::vector<DirectoryRow>& rows,
                                            bool disable_missing);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_DIRECTORY_PLAN_H_
