// What a directory has to be like to be opened as a store's. Looks, and changes
// nothing. Each error is one line that names the directory, what is wrong and what
// to do.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_DATA_DIR_CHECK_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_DATA_DIR_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

// Why a start is refused, in one line that is complete: `path: text`.
absl::Status Refusal(absl::StatusCode code, const std::string& path, absl::string_view text);
// Any error as one: with the path in front and, if its code tells, with what to do.
absl::Status AsRefusal(const absl::Status& status, const std::string& path);

// Whose the directory is. Only who may write it opens it: its owner, or whom the
// administrator let in where it is root's (a volume that a group may write). Root
// itself, who is kept out nowhere, leaves another user's directory alone: what root
// made in it that user could not open any more. kPermissionDenied.
absl::Status CheckOwner(Files& files, const std::string& path);

// That it has the parts of a store and nothing else, and that they can be used. The
// index may be missing; anything may where the store is not `complete`. Names that
// begin with a dot, and `lost+found`, are the file system's. kFailedPrecondition:
// something foreign is there; kDataLoss: something is missing; kPermissionDenied.
absl::Status CheckParts(Files& files, const std::string& path, bool complete);

// Those of `names`, in a directory of ours, that are not the file system's.
std::vector<std::string> WithoutSystemNames(std::vector<std::string> names);
// A name that LevelDB gives.
bool IsIndexName(absl::string_view name);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_DATA_DIR_CHECK_H_
