// Files of this machine. Errors name the file and the system's reason.
#ifndef RESTANTE_CLIENT_CLI_LOCAL_FILES_H_
#define RESTANTE_CLIENT_CLI_LOCAL_FILES_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::cli {

// errno as a status: `path: doing: reason`.
absl::Status FileError(const std::string& path, const char* doing);

// Owns a descriptor, or -1.
class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  ~OpenFile();
  OpenFile(OpenFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OpenFile& operator=(OpenFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int fd() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

// `-` is standard input.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);
absl::StatusOr<std::string> ReadToEnd(int fd, const std::string& path);
absl::Status WriteAll(int fd, absl::string_view octets, const std::string& path);

// Makes the directory and those above it that are missing, durably.
absl::Status MakeDirectory(const std::string& path);
absl::Status SyncDirectory(const std::string& path);
// The whole new text or the whole old one, whatever happens; durable.
absl::Status ReplaceFile(const std::string& path, absl::string_view text);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_LOCAL_FILES_H_
