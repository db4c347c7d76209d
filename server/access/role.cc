#include "server/access/role.h"

#include <vector>

#include "absl/strings/str_join.h"

namespace restante::access {
namespace {

constexpr struct {
  Role role;
  absl::string_view name;
} kNames[] = {{Role::kMta, "mta"}, {Role::kReader, "reader"}, {Role::kOperator, "operator"}};

}  // namespace

std::string Roles::ToString() const {
  std::vector<absl::string_view> names;
  for (const auto& [role, name] : kNames) {
    if (Intersects(role)) names.push_back(name);
  }
  return names.empty() ? "none" : absl::StrJoin(names, ", ");
}

std::optional<Role> ParseRole(absl::string_view name) {
  for (const auto& known : kNames) {
    if (known.name == name) return known.role;
  }
  return std::nullopt;
}

}  // namespace restante::access
