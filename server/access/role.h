// What a caller may be allowed: roles, and how far each method reaches.
//
// | role       | may                                                                         |
// |------------|-----------------------------------------------------------------------------|
// | `mta`      | deliver: reserve, store, ask what became of it and whether there is room    |
// | `reader`   | read, append and delete messages, and see the mailboxes that hold them      |
// | `operator` | provision domains, mailboxes and aliases, set limits, maintain the store,   |
// |            | and see how it does (reflection and channelz among that)                    |
//
// No role includes another, so that each program gets what it is for and no
// more: who takes mail in need not read it, and who sets quotas need neither.
// A caller that does several things holds several roles, by name, and what a
// stolen key is worth can be read off the callers file.
#ifndef RESTANTE_SERVER_ACCESS_ROLE_H_
#define RESTANTE_SERVER_ACCESS_ROLE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace restante::access {

enum class Role : uint8_t { kMta = 1, kReader = 2, kOperator = 4 };

// A set of roles.
class Roles {
 public:
  constexpr Roles() = default;
  // Implicit: one role is a set of roles.
  constexpr Roles(Role role) : bits_(static_cast<uint8_t>(role)) {}
  static constexpr Roles All() { return Roles(Role::kMta).With(Role::kReader).With(Role::kOperator); }

  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool Intersects(Roles other) const { return (bits_ & other.bits_) != 0; }
  constexpr Roles With(Roles other) const {
    other.bits_ |= bits_;
    return other;
  }
  friend constexpr bool operator==(Roles, Roles) = default;

  // `mta, reader`; `none`.
  std::string ToString() const;

 private:
  uint8_t bits_ = 0;
};

constexpr Roles operator|(Roles a, Role b) { return a.With(b); }

// Of `mta`, `reader`, `operator`; nothing for any other word.
std::optional<Role> ParseRole(absl::string_view name);

// What a method touches, for callers that are restricted to some domains.
enum class Scope : uint8_t {
  kStore,    // Everything: such callers may not call it.
  kDomains,  // What the request names: its handler checks each domain (Grant::CheckDomain).
  kNothing,  // Nothing that belongs to a domain.
};

// What a method asks of its caller. The default allows nobody.
struct Rule {
  Roles roles = {};  // One of these.
  Scope scope = Scope::kStore;
};

}  // namespace restante::access

#endif  // RESTANTE_SERVER_ACCESS_ROLE_H_
