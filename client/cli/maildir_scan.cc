#include "client/cli/maildir_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/folder_names.h"
#include "client/cli/local_files.h"
#include "client/cli/maildir_flags.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

// Octets of the lines on top that are not the message's.
constexpr uint64_t kEnvelope = 4096;

// A directory that is none by way of a symbolic link.
class Directory {
 public:
  explicit Directory(const std::string& path, bool follow = false) {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    if (fd < 0) return;
    directory_.reset(fdopendir(fd));
    if (directory_ == nullptr) close(fd);
  }
  bool ok() const { return directory_ != nullptr; }
  int fd() const { return dirfd(directory_.get()); }
  // Null at the end.
  const char* Next() {
    const dirent* entry = readdir(directory_.get());
    return entry == nullptr ? nullptr : entry->d_name;
  }

 private:
  std::unique_ptr<DIR, int (*)(DIR*)> directory_{nullptr, closedir};
};

absl::Time ArrivalOf(const struct stat& file, absl::string_view name, absl::Time now) {
  const auto sensible = [now](absl::Time t) { return t > absl::UnixEpoch() && t < now + absl::Hours(24); };
  const absl::Time changed = absl::TimeFromTimespec(file.st_mtim);
  if (sensible(changed)) return changed;
  int64_t seconds = 0;
  const auto digits = std::find_if_not(name.begin(), name.end(), absl::ascii_isdigit);
  if (absl::SimpleAtoi(name.substr(0, static_cast<size_t>(digits - name.begin())), &seconds) &&
      sensible(absl::FromUnixSeconds(seconds))) {
    return absl::FromUnixSeconds(seconds);
  }
  return now;
}

class Scan {
 public:
  Scan(absl::Time now, MaildirTree* tree) : now_(now), tree_(tree) {}

  // Whether there was a Maildir.
  bool Folder(const std::string& directory, const std::string& folder) {
    absl::StatusOr<MaildirKeywords> keywords = MaildirKeywords::Read(directory);
    if (!keywords.ok()) Problem(keywords.status());
    keywords_ = keywords.ok() ? *std::move(keywords) : MaildirKeywords();
    courier_ = ReadCourierKeywords(directory);
    bool found = false;
    for (const char* part : {"/new", "/cur"}) {
      const std::string path = directory + part;
      Directory files(path);
      if (files.ok()) {
        found = true;
        Part(directory, folder, path, files);
      } else if (errno != ENOENT) {
        Problem(FileError(path, "open"));
      }
    }
    return found;
  }

  void Problem(const absl::Status& status) { tree_->problems.emplace_back(status.message()); }

 private:
  void Part(const std::string& directory, const std::string& folder, const std::string& path,
            Directory& files) {
    while (const char* entry = files.Next()) {
      const absl::string_view name = entry;
      if (name[0] == '.') continue;
      struct stat info {};
      if (fstatat(files.fd(), entry, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) Problem(FileError(absl::StrCat(path, "/", name), "look at"));
        continue;
      }
      if (S_ISDIR(info.st_mode)) continue;
      if (!S_ISREG(info.st_mode)) {
        Problem(absl::InvalidArgumentError(absl::StrCat(path, "/", name, ": is no regular file")));
        continue;
      }
      MaildirFile& file = tree_->files.emplace_back();
      file.directory = directory;
      file.path = absl::StrCat(path, "/", name);
      file.base = std::string(BaseOf(name));
      file.folder = folder;
      file.size = static_cast<uint64_t>(info.st_size);
      file.arrival = ArrivalOf(info, name, now_);
      file.flags = FlagsOfLetters(LettersOf(name));
      file.keywords = KeywordsOf(name);
    }
  }

  std::vector<std::string> KeywordsOf(absl::string_view name) const {
    std::vector<std::string> keywords;
    for (const char letter : LettersOf(name)) {
      if (std::string keyword = keywords_.KeywordOf(letter); !keyword.empty()) keywords.push_back(keyword);
    }
    if (const auto more = courier_.find(BaseOf(name)); more != courier_.end()) {
      keywords.insert(keywords.end(), more->second.begin(), more->second.end());
    }
    return keywords;
  }

  const absl::Time now_;
  MaildirTree* const tree_;
  MaildirKeywords keywords_;  // Of the folder.
  absl::flat_hash_map<std::string, std::vector<std::string>> courier_;
};

// Where it is now: another server has read it, or set a flag.
std::string NewPathOf(const MaildirFile& file) {
  for (const char* part : {"/cur", "/new"}) {
    const std::string path = file.directory + part;
    Directory files(path);
    while (const char* name = files.ok() ? files.Next() : nullptr) {
      if (BaseOf(name) == file.base) return absl::StrCat(path, "/", name);
    }
  }
  return file.path;
}

}  // namespace

absl::Status TooLarge(const std::string& path, uint64_t size, uint64_t limit) {
  return absl::OutOfRangeError(
      absl::StrCat(path, ": has ", size, " bytes, the store takes ", limit, " at most"));
}

absl::StatusOr<MaildirTree> ScanMaildir(const std::string& path, absl::Time now) {
  MaildirTree tree;
  Scan scan(now, &tree);
  Directory top(path, /*follow=*/true);
  if (!top.ok()) return FileError(path, "open");
  if (!scan.Folder(path, std::string(kInbox)) && tree.problems.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is no Maildir, it has neither new nor cur"));
  }
  while (const char* name = top.Next()) {
    if (name[0] != '.' || absl::string_view(name) == "." || absl::string_view(name) == "..") continue;
    const std::string directory = absl::StrCat(path, "/", name);
    struct stat info {};
    if (lstat(directory.c_str(), &info) != 0 || S_ISREG(info.st_mode)) continue;
    if (!S_ISDIR(info.st_mode)) {
      scan.Problem(absl::InvalidArgumentError(absl::StrCat(directory, ": is no directory")));
      continue;
    }
    absl::StatusOr<std::string> folder = FolderOfDirectory(name);
    if (folder.ok()) {
      scan.Folder(directory, *folder);
    } else {
      scan.Problem(absl::InvalidArgumentError(
          absl::StrCat(directory, ": is no folder's name: ", folder.status().message())));
    }
  }
  std::sort(tree.files.begin(), tree.files.end(), [](const MaildirFile& a, const MaildirFile& b) {
    return std::tie(a.arrival, a.base, a.path) < std::tie(b.arrival, b.base, b.path);
  });
  return tree;
}

absl::StatusOr<FileMessage> ReadMessageFile(const std::string& path, uint64_t limit) {
  // A FIFO would not open before somebody writes.
  OpenFile in(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!in.ok()) return FileError(path, "open");
  struct stat info {};
  if (fstat(in.fd(), &info) != 0) return FileError(path, "look at");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(path + ": is no regular file");
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > limit + kEnvelope) return TooLarge(path, size, limit);
  ASSIGN_OR_RETURN(const std::string octets, ReadToEnd(in.fd(), path));
  return ParseMessageFile(octets);
}

absl::StatusOr<FileMessage> ReadMaildirFile(const MaildirFile& file, uint64_t limit) {
  absl::StatusOr<FileMessage> read = ReadMessageFile(file.path, limit);
  if (absl::IsNotFound(read.status())) read = ReadMessageFile(NewPathOf(file), limit);
  return read;
}

}  // namespace restante::cli
