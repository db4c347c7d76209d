#include "client/cli/maildir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

absl::Status Errno(const std::string& path, const char* doing) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", doing));
}

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

absl::Status SyncDirectory(const std::string& path) {
  File directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd() < 0) return Errno(path, "open");
  if (fsync(directory.fd()) != 0) return Errno(path, "sync");
  return absl::OkStatus();
}

std::string ParentOf(const std::string& path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Makes the directory and those above it that are missing, durably.
absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return SyncDirectory(ParentOf(path));
  if (errno == EEXIST) return absl::OkStatus();
  if (errno != ENOENT || ParentOf(path) == path) return Errno(path, "make the directory");
  RETURN_IF_ERROR(MakeDirectory(ParentOf(path)));
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Errno(path, "make the directory");
  return SyncDirectory(ParentOf(path));
}

std::string HeaderSafe(absl::string_view address) {
  std::string safe(address);
  std::replace_if(
      safe.begin(), safe.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return safe;
}

}  // namespace

bool HasOnlyCrlf(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') return false;
    if (text[i] != '\r') continue;
    if (++i == text.size() || text[i] != '\n') return false;
  }
  return true;
}

std::string TextToCrlf(std::string text) {
  if (absl::StrContains(text, "\r\n")) return text;
  return absl::StrReplaceAll(text, {{"\n", "\r\n"}});
}

std::string ToMaildirFile(absl::string_view sender, absl::string_view recipient, std::string message) {
  bool lossless = HasOnlyCrlf(message);
  const char* end = lossless ? "\n" : "\r\n";
  std::string file = absl::StrCat("Return-Path: <", HeaderSafe(sender), ">", end,
                                  "Delivered-To: ", HeaderSafe(recipient), end);
  if (!lossless) return file + message;
  file.reserve(file.size() + message.size());
  std::copy_if(message.begin(), message.end(), std::back_inserter(file), [](char c) { return c != '\r'; });
  return file;
}

absl::StatusOr<std::string> FromMaildirFile(std::string file) {
  absl::string_view rest = file;
  bool verbatim = false;
  for (absl::string_view field : {"Return-Path: ", "Delivered-To: "}) {
    size_t end = rest.find('\n');
    if (!absl::StartsWith(rest, field) || end == absl::string_view::npos) {
      return absl::InvalidArgumentError("does not begin with Return-Path and Delivered-To");
    }
    verbatim = rest[end - 1] == '\r';
    rest.remove_prefix(end + 1);
  }
  if (verbatim) return std::string(rest);
  return absl::StrReplaceAll(rest, {{"\n", "\r\n"}});
}

absl::Status Maildir::Create() {
  for (const char* part : {"/tmp", "/new", "/cur"}) RETURN_IF_ERROR(MakeDirectory(path_ + part));
  std::string cur = path_ + "/cur";
  DIR* directory = opendir(cur.c_str());
  if (directory == nullptr) return Errno(cur, "open");
  while (const dirent* entry = readdir(directory)) {
    std::string file = entry->d_name;
    seen_.emplace(file.substr(0, file.find(':')), absl::StrCat(cur, "/", file));
  }
  closedir(directory);
  return absl::OkStatus();
}

std::string Maildir::Find(const std::string& name) const {
  std::string fresh = absl::StrCat(path_, "/new/", name);
  if (access(fresh.c_str(), F_OK) == 0) return fresh;
  auto found = seen_.find(name);
  return found == seen_.end() ? "" : found->second;
}

absl::Status Maildir::Write(const std::string& name, absl::string_view file, absl::Time arrival) {
  std::string temporary = absl::StrCat(path_, "/tmp/", name);
  std::string final_path = absl::StrCat(path_, "/new/", name);
  File out(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (out.fd() < 0) return Errno(temporary, "create");
  while (!file.empty()) {
    ssize_t n = write(out.fd(), file.data(), file.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      absl::Status error = Errno(temporary, "write");
      unlink(temporary.c_str());
      return error;
    }
    file.remove_prefix(static_cast<size_t>(n));
  }
  // Readers show the time of the file as the time of arrival.
  timespec times[2] = {absl::ToTimespec(arrival), absl::ToTimespec(arrival)};
  futimens(out.fd(), times);
  if (fsync(out.fd()) != 0) return Errno(temporary, "sync");
  if (rename(temporary.c_str(), final_path.c_str()) != 0) return Errno(final_path, "rename");
  return absl::OkStatus();
}

absl::Status Maildir::Sync() { return SyncDirectory(path_ + "/new"); }

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  File in(path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.fd() < 0) return Errno(path, "open");
  std::string text;
  while (true) {
    constexpr size_t kPiece = 256 * 1024;
    size_t have = text.size();
    text.resize(have + kPiece);
    ssize_t n = read(in.fd(), text.data() + have, kPiece);
    text.resize(have + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0) return text;
    if (n < 0 && errno != EINTR) return Errno(path, "read");
  }
}

}  // namespace restante::cli
