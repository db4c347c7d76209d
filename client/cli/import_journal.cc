#include "client/cli/import_journal.h"

#include <fcntl.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

constexpr size_t kDigits = 32;

}  // namespace

absl::Status ImportJournal::Open(const std::string& path, absl::flat_hash_set<std::string>* known) {
  path_ = path;
  file_ = OpenFile(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file_.ok()) return FileError(path, "open");
  ASSIGN_OR_RETURN(const std::string text, ReadToEnd(file_.fd(), path));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.size() == kDigits && std::all_of(line.begin(), line.end(), absl::ascii_isxdigit)) {
      known->insert(absl::HexStringToBytes(line));
    }
  }
  // What was cut off does not run into the next line.
  return text.empty() || text.back() == '\n' ? absl::OkStatus() : WriteAll(file_.fd(), "\n", path);
}

absl::Status ImportJournal::Add(const std::string& request_id) const {
  if (!file_.ok()) return absl::OkStatus();
  return WriteAll(file_.fd(), absl::StrCat(absl::BytesToHexString(request_id), "\n"), path_);
}

}  // namespace restante::cli
