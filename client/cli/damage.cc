#include "client/cli/damage.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/names.h"
#include "client/cli/output.h"

namespace restante::cli {
namespace {

// `alice@example.org UID 3`, of a message's name.
std::string MessageText(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  if (parts.size() < 3) return std::string(name);
  return absl::StrCat(IdOf(absl::StrCat(parts[0], "/", parts[1])), " UID ", parts.back());
}

}  // namespace

std::vector<std::string> DamageLines(const v1::Damage& damage) {
  const std::string place =
      absl::StrCat(damage.file(), ": damaged at ", damage.offset(), ": ", damage.problem());
  if (damage.messages().empty()) return {place};
  std::vector<std::string> lines;
  for (const std::string& message : damage.messages()) {
    lines.push_back(absl::StrCat(MessageText(message), " cannot be read: ", place));
  }
  return lines;
}

std::string DamageJson(const v1::Damage& damage) {
  Record record;
  record.Text("file", damage.file())
      .Number("offset", damage.offset())
      .Text("problem", damage.problem())
      .Json("messages", absl::StrCat("[",
                                     absl::StrJoin(damage.messages(), ",",
                                                   [](std::string* out, const std::string& message) {
                                                     absl::StrAppend(out, JsonString(message));
                                                   }),
                                     "]"));
  return record.ToJson();
}

}  // namespace restante::cli
