#include "client/cli/local_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

std::string ParentOf(const std::string& path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::Status FileError(const std::string& path, const char* doing) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", doing));
}

OpenFile::~OpenFile() {
  if (fd_ >= 0) close(fd_);
}

absl::Status SyncDirectory(const std::string& path) {
  OpenFile directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.ok()) return FileError(path, "open");
  if (fsync(directory.fd()) != 0) return FileError(path, "sync");
  return absl::OkStatus();
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return SyncDirectory(ParentOf(path));
  if (errno == EEXIST) return absl::OkStatus();
  if (errno != ENOENT || ParentOf(path) == path) return FileError(path, "make the directory");
  RETURN_IF_ERROR(MakeDirectory(ParentOf(path)));
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return FileError(path, "make the directory");
  return SyncDirectory(ParentOf(path));
}

absl::StatusOr<std::string> ReadToEnd(int fd, const std::string& path) {
  std::string text;
  while (true) {
    constexpr size_t kPiece = 256 * 1024;
    size_t have = text.size();
    text.resize(have + kPiece);
    ssize_t n = read(fd, text.data() + have, kPiece);
    text.resize(have + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0) return text;
    if (n < 0 && errno != EINTR) return FileError(path, "read");
  }
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  OpenFile in(path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in.ok()) return FileError(path, "open");
  return ReadToEnd(in.fd(), path);
}

absl::Status WriteAll(int fd, absl::string_view octets, const std::string& path) {
  while (!octets.empty()) {
    ssize_t n = write(fd, octets.data(), octets.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileError(path, "write");
    octets.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status ReplaceFile(const std::string& path, absl::string_view text) {
  const std::string temporary = path + ".new";
  {
    OpenFile out(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!out.ok()) return FileError(temporary, "create");
    RETURN_IF_ERROR(WriteAll(out.fd(), text, temporary));
    if (fsync(out.fd()) != 0) return FileError(temporary, "sync");
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return FileError(path, "rename");
  return SyncDirectory(ParentOf(path));
}

}  // namespace restante::cli
