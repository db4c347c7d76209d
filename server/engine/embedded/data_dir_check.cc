#include "server/engine/embedded/data_dir_check.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

// Marks a status whose text needs nothing more.
constexpr absl::string_view kRefusal = "restante/refusal";

absl::Status Complete(absl::Status status) {
  status.SetPayload(kRefusal, absl::Cord());
  return status;
}

bool AllDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

bool IsSegmentName(absl::string_view name) { return SegmentOfName(name) != 0; }
bool IsBodyName(absl::string_view name) { return BodyOfFileName(name) != 0 || BodyOfPartName(name) != 0; }

struct Part {
  absl::string_view name;
  // Names in it; null: it is a file.
  bool (*is_name)(absl::string_view) = nullptr;
  bool needed = false;
};

// All that may stand in a store's directory.
constexpr Part kParts[] = {
    {.name = "segments", .is_name = IsSegmentName, .needed = true},
    {.name = "bodies", .is_name = IsBodyName, .needed = true},
    {.name = "index", .is_name = IsIndexName},
    {.name = "spare", .is_name = AllDigits},
    {.name = "FORMAT", .needed = true},
    {.name = "FORMAT.new"},
    {.name = "CREATING"},
    {.name = "RESTORING"},
    {.name = "LOCK"},
    {.name = "ballast"},
};

class Checker {
 public:
  Checker(Files& files, const std::string& path) : files_(files), path_(path) {}

  absl::Status Run(bool complete) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(path_));
    RETURN_IF_ERROR(CheckAllowed(""));
    for (const std::string& name : names) {
      const bool known = std::any_of(std::begin(kParts), std::end(kParts),
                                     [&](const Part& part) { return part.name == name; });
      if (!known) return Foreign(name);
    }
    for (const Part& part : kParts) {
      const bool there = std::find(names.begin(), names.end(), part.name) != names.end();
      if (there) RETURN_IF_ERROR(CheckPart(part));
      if (there || !complete || !part.needed) continue;
      return Refusal(absl::StatusCode::kDataLoss, path_,
                     absl::StrCat(part.name, " is missing; restore it from a backup of the directory"));
    }
    return absl::OkStatus();
  }

 private:
  std::string PathOf(absl::string_view name) const { return name.empty() ? path_ : JoinPath(path_, name); }

  absl::StatusOr<std::vector<std::string>> Names(const std::string& path) const {
    absl::StatusOr<std::vector<std::string>> names = files_.List(path);
    if (!names.ok()) return names.status();
    return WithoutSystemNames(*std::move(names));
  }

  absl::Status CheckPart(const Part& part) {
    ASSIGN_OR_RETURN(const bool is_directory, files_.IsDirectory(PathOf(part.name)));
    if (is_directory != (part.is_name != nullptr)) {
      return Refusal(
          absl::StatusCode::kFailedPrecondition, path_,
          absl::StrCat(part.name, " is ", is_directory ? "a directory, not a file" : "no directory",
                       "; restore it from a backup of the directory"));
    }
    RETURN_IF_ERROR(CheckAllowed(part.name));
    if (!is_directory) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(PathOf(part.name)));
    // There may be a million bodies, and each is opened only when it is read.
    const bool each = part.is_name != IsBodyName;
    for (const std::string& name : names) {
      const std::string inner = JoinPath(part.name, name);
      if (!part.is_name(name)) return Foreign(inner);
      if (each) RETURN_IF_ERROR(CheckAllowed(inner));
    }
    return absl::OkStatus();
  }

  absl::Status CheckAllowed(absl::string_view name) {
    ASSIGN_OR_RETURN(const Files::Permissions permissions, files_.PermissionsOf(PathOf(name)));
    if (permissions.allowed) return absl::OkStatus();
    return Refusal(
        absl::StatusCode::kPermissionDenied, path_,
        absl::StrFormat("%s cannot be read and written by user id %d, which the store runs as (it is "
                        "user id %d's, mode %04o); give the whole directory to that user (chown -R, "
                        "chmod -R u+rwX)",
                        name.empty() ? "it" : name, geteuid(), permissions.owner, permissions.mode));
  }

  absl::Status Foreign(absl::string_view name) const {
    return Refusal(
        absl::StatusCode::kFailedPrecondition, path_,
        absl::StrCat(absl::CHexEscape(name),
                     " is not the store's, and nothing else may be in its directory; move it away"));
  }

  Files& files_;
  const std::string& path_;
};

}  // namespace

absl::Status Refusal(absl::StatusCode code, const std::string& path, absl::string_view text) {
  return Complete(absl::Status(code, absl::StrCat(path, ": ", text)));
}

absl::Status AsRefusal(const absl::Status& status, const std::string& path) {
  if (status.ok() || status.GetPayload(kRefusal)) return status;
  std::string text(status.message());
  // What is damaged in the index is in the log.
  const bool in_index =
      absl::StartsWith(text, "index:") || absl::StrContains(text, absl::StrCat(JoinPath(path, "index"), "/"));
  if (absl::IsDataLoss(status) && in_index && !absl::StrContains(text, "--rebuild-index")) {
    text += "; start once with --rebuild-index to make it again from the log";
  }
  if (!absl::StartsWith(text, path)) text = absl::StrCat(path, ": ", text);
  if (absl::IsPermissionDenied(status)) text += "; give it to the user that the store runs as (chown -R)";
  if (absl::IsResourceExhausted(status)) text += "; make room on its file system";
  return Complete(absl::Status(status.code(), text));
}

bool IsIndexName(absl::string_view name) {
  if (name == "CURRENT" || name == "LOCK" || name == "LOG" || name == "LOG.old") return true;
  if (absl::ConsumePrefix(&name, "MANIFEST-")) return AllDigits(name);
  for (const absl::string_view suffix : {".log", ".ldb", ".sst", ".dbtmp"}) {
    if (absl::string_view number = name; absl::ConsumeSuffix(&number, suffix)) return AllDigits(number);
  }
  return false;
}

std::vector<std::string> WithoutSystemNames(std::vector<std::string> names) {
  const auto is_systems = [](const std::string& name) {
    return name == "lost+found" || absl::StartsWith(name, ".");
  };
  names.erase(std::remove_if(names.begin(), names.end(), is_systems), names.end());
  return names;
}

absl::Status CheckOwner(Files& files, const std::string& path) {
  ASSIGN_OR_RETURN(const Files::Permissions directory, files.PermissionsOf(path));
  const uint32_t user = geteuid();
  uint32_t owner = directory.owner;
  // In a directory of root's the store may be another user's all the same.
  if (user == 0 && owner == 0) {
    if (const auto format = files.PermissionsOf(JoinPath(path, "FORMAT")); format.ok()) owner = format->owner;
  }
  if (owner == user || owner == 0) return absl::OkStatus();
  return Refusal(absl::StatusCode::kPermissionDenied, path,
                 absl::StrCat("belongs to user id ", owner, ", and the store runs as user id ", user,
                              "; run it as its owner, or give all of it to the other (chown -R)"));
}

absl::Status CheckParts(Files& files, const std::string& path, bool complete) {
  return Checker(files, path).Run(complete);
}

}  // namespace restante::embedded
