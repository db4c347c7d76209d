#include "server/base/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"

namespace restante {

absl::Status BecomeUser(const std::string& user) {
  std::vector<char> buffer(16 * 1024);
  passwd entry = {};
  passwd* found = nullptr;
  const int error = getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", user, "`: ", error == 0 ? "no such user" : std::strerror(error)));
  }
  if (geteuid() == entry.pw_uid && getuid() == entry.pw_uid && geteuid() != 0) return absl::OkStatus();
  if (initgroups(user.c_str(), entry.pw_gid) != 0 ||
      setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid) != 0 ||
      setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid) != 0) {
    return absl::PermissionDeniedError(absl::StrCat("`", user, "`: ", std::strerror(errno)));
  }
  // What was given up must not come back.
  if (entry.pw_uid != 0 && setuid(0) == 0) {
    return absl::PermissionDeniedError(absl::StrCat("`", user, "`: root's rights stay"));
  }
  return absl::OkStatus();
}

}  // namespace restante
