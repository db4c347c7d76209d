// Files that are replaced while they are in use: certificates, keys, callers.
#ifndef RESTANTE_SERVER_BASE_FILE_WATCH_H_
#define RESTANTE_SERVER_BASE_FILE_WATCH_H_

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace restante {

// Tells when a set of files has changed. One thread.
class FileWatch {
 public:
  // Empty names are none.
  explicit FileWatch(std::vector<std::string> files) : files_(std::move(files)) {
    std::erase(files_, "");
    Reading();
  }

  // To be called before they are read: what changes meanwhile is read again.
  void Reading() { read_ = seen_ = Look(); }

  // To be called now and then. Whether they are not what they were at Reading()
  // and have been the same at two calls in a row, so that nothing is read between
  // the writing of one and of the next.
  bool Changed() {
    std::vector<Stamp> now = Look();
    const bool settled = now == seen_;
    seen_ = std::move(now);
    return settled && seen_ != read_;
  }

 private:
  // What tells whether a file was replaced or written; all zero without it.
  using Stamp = std::array<int64_t, 5>;

  std::vector<Stamp> Look() const {
    std::vector<Stamp> stamps;
    for (const std::string& file : files_) {
      struct stat st = {};
      (void)::stat(file.c_str(), &st);
      stamps.push_back({st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_size, static_cast<int64_t>(st.st_ino),
                        static_cast<int64_t>(st.st_dev)});
    }
    return stamps;
  }

  std::vector<std::string> files_;
  std::vector<Stamp> read_, seen_;
};

// A configuration file's contents. kFailedPrecondition with its name and the
// reason, also when it has more than 1 MiB.
inline absl::StatusOr<std::string> ReadSmallFile(const std::string& file) {
  constexpr size_t kLargest = 1 << 20;
  const auto refuse = [&](const char* why) {
    return absl::FailedPreconditionError(absl::StrCat("`", file, "`: ", why));
  };
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return refuse(std::strerror(errno));
  std::string text;
  std::array<char, 16384> part;
  ssize_t n = 0;
  do {
    n = ::read(fd, part.data(), part.size());
    if (n > 0) text.append(part.data(), static_cast<size_t>(n));
  } while ((n > 0 || (n < 0 && errno == EINTR)) && text.size() <= kLargest);
  const int error = errno;
  ::close(fd);
  if (n < 0) return refuse(std::strerror(error));
  if (text.size() > kLargest) return refuse("has more than 1 MiB");
  return text;
}

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_FILE_WATCH_H_
