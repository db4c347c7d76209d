#include "client/cli/export_state.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/local_files.h"

namespace restante::cli {
namespace {

constexpr char kFirstLine[] = "restante export 1";

}  // namespace

absl::StatusOr<ExportState> ExportState::Read(const std::string& path) {
  ExportState state;
  const absl::StatusOr<std::string> text = ReadWholeFile(path);
  if (absl::IsNotFound(text.status())) return state;
  if (!text.ok()) return text.status();
  bool good = true, first = true, whole = false;
  for (const absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    if (std::exchange(first, false)) {
      good = line == kFirstLine;
      continue;
    }
    whole = line == "end";
    if (whole) break;
    const std::pair<absl::string_view, absl::string_view> words =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    uint64_t unread = 0;
    const bool known =
        (words.first == "uid_validity" && absl::SimpleAtoi(words.second, &state.uid_validity)) ||
        (words.first == "uid" && absl::SimpleAtoi(words.second, &state.uid)) ||
        (words.first == "moving_from" && absl::SimpleAtoi(words.second, &state.moving_from)) ||
        (words.first == "unread" && absl::SimpleAtoi(words.second, &unread));
    if (words.first == "unread") state.unread.insert(unread);
    good = good && known;
  }
  if (good && whole) return state;
  return absl::FailedPreconditionError(absl::StrCat(
      path, ": does not say how far an export has come; without this file everything is exported anew"));
}

absl::Status ExportState::Write(const std::string& path) const {
  std::string text = absl::StrCat(kFirstLine, "\nuid_validity ", uid_validity, "\nuid ", uid,
                                  "\nmoving_from ", moving_from, "\n");
  for (const uint64_t each : unread) absl::StrAppend(&text, "unread ", each, "\n");
  return ReplaceFile(path, absl::StrCat(text, "end\n"));
}

}  // namespace restante::cli
