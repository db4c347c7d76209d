// The seam's real side: system calls and errno.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {
namespace {

absl::Status ErrnoStatus(int error, absl::string_view path, absl::string_view operation) {
  absl::StatusCode code = absl::StatusCode::kInternal;
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      code = absl::StatusCode::kNotFound;
      break;
    case EEXIST:
      code = absl::StatusCode::kAlreadyExists;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = absl::StatusCode::kPermissionDenied;
      break;
    case ENOSPC:
    case EDQUOT:
      code = absl::StatusCode::kResourceExhausted;
      break;
    case EWOULDBLOCK:
      code = absl::StatusCode::kUnavailable;
      break;
  }
  std::array<char, 128> buffer{};
  return absl::Status(
      code, absl::StrCat(path, ": ", operation, ": ", strerror_r(error, buffer.data(), buffer.size())));
}

class PosixFile : public File {
 public:
  PosixFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~PosixFile() override { close(fd_); }

  absl::Status Append(absl::Span<const absl::string_view> pieces) override {
    std::vector<iovec> vectors;
    vectors.reserve(pieces.size());
    for (const absl::string_view piece : pieces) {
      if (!piece.empty()) vectors.push_back({const_cast<char*>(piece.data()), piece.size()});
    }
    size_t next = 0;
    while (next < vectors.size()) {
      const int count = static_cast<int>(std::min<size_t>(vectors.size() - next, IOV_MAX));
      const ssize_t result = writev(fd_, &vectors[next], count);
      if (result < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(errno, path_, "write");
      }
      size_t written = static_cast<size_t>(result);
      while (written > 0 && written >= vectors[next].iov_len) written -= vectors[next++].iov_len;
      if (written > 0) {
        vectors[next].iov_base = static_cast<char*>(vectors[next].iov_base) + written;
        vectors[next].iov_len -= written;
      }
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    return fdatasync(fd_) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path_, "fdatasync");
  }

  // (Linux marks pages clean whose writing failed, and goes on to serve them.)
  void DropCached() override { posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }

  absl::Status Truncate(uint64_t size) override {
    return ftruncate(fd_, static_cast<off_t>(size)) == 0 ? absl::OkStatus()
                                                         : ErrnoStatus(errno, path_, "truncate");
  }

  absl::Status Preallocate(uint64_t size) override {
    const int error = posix_fallocate(fd_, 0, static_cast<off_t>(size));
    return error == 0 ? absl::OkStatus() : ErrnoStatus(error, path_, "allocate");
  }

  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes, char* to) const override {
    size_t done = 0;
    while (done < bytes) {
      const ssize_t result = pread(fd_, to + done, bytes - done, static_cast<off_t>(offset + done));
      if (result < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(errno, path_, "read");
      }
      if (result == 0) break;
      done += static_cast<size_t>(result);
    }
    return done;
  }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat stat = {};
    if (fstat(fd_, &stat) != 0) return ErrnoStatus(errno, path_, "stat");
    return static_cast<uint64_t>(stat.st_size);
  }

 private:
  const std::string path_;
  const int fd_;
};

class PosixLock : public FileLock {
 public:
  explicit PosixLock(int fd) : fd_(fd) {}
  ~PosixLock() override { close(fd_); }

 private:
  const int fd_;
};

class PosixFiles : public Files {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override {
    int flags = O_CLOEXEC;
    if (mode == Mode::kRead) flags |= O_RDONLY;
    if (mode == Mode::kAppend) flags |= O_RDWR | O_CREAT | O_APPEND;
    if (mode == Mode::kCreate) flags |= O_RDWR | O_CREAT | O_APPEND | O_TRUNC;
    const int fd = open(path.c_str(), flags, 0600);
    if (fd < 0) return ErrnoStatus(errno, path, "open");
    return std::make_unique<PosixFile>(path, fd);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    return rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, from, "rename");
  }

  absl::Status Link(const std::string& from, const std::string& to) override {
    if (link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    if (errno == EXDEV || errno == EPERM || errno == EMLINK) {
      return absl::UnimplementedError(ErrnoStatus(errno, to, "link").message());
    }
    return ErrnoStatus(errno, to, "link");
  }

  absl::Status Remove(const std::string& path) override {
    return unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path, "remove");
  }

  absl::Status MakeDirectory(const std::string& path) override {
    if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
    if (errno != ENOENT || DirectoryOf(path) == path) return ErrnoStatus(errno, path, "make directory");
    if (absl::Status parent = MakeDirectory(DirectoryOf(path)); !parent.ok()) return parent;
    if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
    return ErrnoStatus(errno, path, "make directory");
  }

  absl::Status RemoveDirectory(const std::string& path) override {
    return rmdir(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path, "remove directory");
  }

  absl::Status SyncDirectory(const std::string& path) override {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, path, "open");
    const int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error == 0 ? absl::OkStatus() : ErrnoStatus(error, path, "fsync");
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    DIR* const directory = opendir(path.c_str());
    if (directory == nullptr) return ErrnoStatus(errno, path, "list");
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(directory)) {
      const absl::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const int error = errno;
    closedir(directory);
    if (error != 0) return ErrnoStatus(error, path, "list");
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::StatusOr<uint64_t> SizeOf(const std::string& path) override {
    struct stat stat = {};
    if (::stat(path.c_str(), &stat) != 0) return ErrnoStatus(errno, path, "stat");
    return static_cast<uint64_t>(stat.st_size);
  }

  absl::StatusOr<bool> IsDirectory(const std::string& path) override {
    struct stat stat = {};
    if (::stat(path.c_str(), &stat) != 0) return ErrnoStatus(errno, path, "stat");
    return S_ISDIR(stat.st_mode);
  }

  absl::StatusOr<Space> SpaceAt(const std::string& path) override {
    struct statvfs space = {};
    if (statvfs(path.c_str(), &space) != 0) return ErrnoStatus(errno, path, "statvfs");
    // (f_files is 0 where a file system does not count them.)
    return Space{.total = space.f_blocks * space.f_frsize,
                 .available = space.f_bavail * space.f_frsize,
                 .available_files = space.f_files == 0 ? UINT64_MAX : space.f_favail,
                 .read_only = (space.f_flag & ST_RDONLY) != 0};
  }

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return ErrnoStatus(errno, path, "open");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      close(fd);
      return ErrnoStatus(error, path, "lock");
    }
    return std::make_unique<PosixLock>(fd);
  }

  absl::StatusOr<Permissions> PermissionsOf(const std::string& path) override {
    struct stat stat = {};
    if (::stat(path.c_str(), &stat) != 0) return ErrnoStatus(errno, path, "stat");
    const int wanted = R_OK | W_OK | (S_ISDIR(stat.st_mode) ? X_OK : 0);
    return Permissions{.owner = stat.st_uid,
                       .mode = stat.st_mode & 0777,
                       .allowed = faccessat(AT_FDCWD, path.c_str(), wanted, AT_EACCESS) == 0};
  }
};

}  // namespace

Files* Files::Posix() {
  static PosixFiles* const files = new PosixFiles;
  return files;
}

}  // namespace restante::embedded
