// Who calls, and what that one may do.
#ifndef RESTANTE_SERVER_ACCESS_CALLER_H_
#define RESTANTE_SERVER_ACCESS_CALLER_H_

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "server/access/role.h"

namespace restante::access {

// Never changes once it is shared; another set of callers has another one.
struct Caller {
  // Stands in logs, and scopes request ids.
  std::string name;
  Roles roles;
  // Canonical (mail/address.h). Nothing: all domains.
  std::optional<std::set<std::string, std::less<>>> domains;

  bool restricted() const { return domains.has_value(); }
  // `domain` is canonical. Holds for whatever carries an address of the domain:
  // recipients, mailboxes, aliases, and the domain itself.
  bool MayTouch(absl::string_view domain) const {
    return !domains.has_value() ||
           domains->find(std::string_view(domain.data(), domain.size())) != domains->end();
  }
};

using CallerPtr = std::shared_ptr<const Caller>;

}  // namespace restante::access

#endif  // RESTANTE_SERVER_ACCESS_CALLER_H_
