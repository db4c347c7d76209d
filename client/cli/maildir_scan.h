// Reading a Maildir++ tree that others wrote, perhaps while they work on it.
//
// Nothing is followed that is a symbolic link: who owns the tree would decide what
// whoever reads it may read.
#ifndef RESTANTE_CLIENT_CLI_MAILDIR_SCAN_H_
#define RESTANTE_CLIENT_CLI_MAILDIR_SCAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/message_file.h"
#include "restante/v1/message.pb.h"

namespace restante::cli {

struct MaildirFile {
  std::string directory;  // Of the folder.
  std::string path;       // When it was seen; servers rename files.
  std::string base;       // The name proper: stays.
  std::string folder;
  uint64_t size = 0;
  // The time of the file; where that is of no use (not after 1970, or later than
  // tomorrow) the seconds that the name begins with, else now.
  absl::Time arrival;
  std::vector<v1::Flag> flags;
  std::vector<std::string> keywords;
};

struct MaildirTree {
  std::vector<MaildirFile> files;  // In the order of their arrival.
  // What could not be looked at, one line each, with its path.
  std::vector<std::string> problems;
};

// kInvalidArgument: the path has neither `new` nor `cur`.
absl::StatusOr<MaildirTree> ScanMaildir(const std::string& path, absl::Time now);

// Also if the file has been renamed meanwhile. kNotFound: it has gone; others as the
// system says. `limit`, octets: what is much larger is not read (kOutOfRange).
absl::StatusOr<FileMessage> ReadMaildirFile(const MaildirFile& file, uint64_t limit);

// Of any file that is not a symbolic link.
absl::StatusOr<FileMessage> ReadMessageFile(const std::string& path, uint64_t limit);

// kOutOfRange: `path: has N bytes, the store takes LIMIT at most`.
absl::Status TooLarge(const std::string& path, uint64_t size, uint64_t limit);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_MAILDIR_SCAN_H_
