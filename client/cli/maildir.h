// Writing a Maildir++ tree: INBOX is the tree's own Maildir, other folders are
// `.Name` in it (folder_names.h), and messages are files (message_file.h).
#ifndef RESTANTE_CLIENT_CLI_MAILDIR_H_
#define RESTANTE_CLIENT_CLI_MAILDIR_H_

#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/cli/maildir_flags.h"

namespace restante::cli {

// One thread, but for Stage: any. Names of messages hold neither slash nor colon.
//
// Errors name the file and the system's reason.
class Maildir {
 public:
  // `live`: a mail server works on it, which the files of keywords belong to: what
  // has no letter there yet gets none.
  explicit Maildir(std::string path, bool live = false) : path_(std::move(path)), live_(live) {}

  // Makes what is missing of INBOX, durably, and looks at what is in all folders.
  absl::Status Create();

  // The path of a message with this name in any folder and with any flags, as it was
  // at Create or written since; empty if there is none.
  std::string Find(const std::string& name) const;

  // Writes tmp/NAME and syncs it; the name is durable after Sync. What an interruption
  // left there is overwritten.
  absl::Status Stage(const std::string& name, absl::string_view file, absl::Time arrival);
  bool IsStaged(const std::string& name) const;
  // Moves what was staged to where it is seen: to `new` of its folder, or to `cur` if
  // there is a flag. The folder is made if it is missing. Durable after Sync.
  absl::Status Publish(const std::string& name, const std::string& folder,
                       const google::protobuf::RepeatedField<int>& flags,
                       const google::protobuf::RepeatedPtrField<std::string>& keywords);
  // Makes everything durable that was done.
  absl::Status Sync();

  const std::string& path() const { return path_; }

 private:
  absl::Status LookAt(const std::string& directory);
  void SyncLater(const std::string& directory);
  absl::StatusOr<std::string> FolderDirectory(const std::string& folder);
  absl::StatusOr<std::string> KeywordLetters(const std::string& directory,
                                             const google::protobuf::RepeatedPtrField<std::string>& keywords);

  const std::string path_;
  const bool live_;
  absl::flat_hash_map<std::string, std::string> seen_;          // Name, path.
  absl::flat_hash_map<std::string, std::string> directories_;   // Of the folders that are there.
  absl::flat_hash_map<std::string, MaildirKeywords> keywords_;  // By directory.
  absl::Mutex mutex_;
  std::set<std::string> unsynced_ ABSL_GUARDED_BY(mutex_);  // Directories.
};

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_MAILDIR_H_
