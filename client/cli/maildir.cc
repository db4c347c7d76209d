#include "client/cli/maildir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/folder_names.h"
#include "client/cli/local_files.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

// The names in a directory, without those that begin with a dot unless `dotted`.
absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& path, bool dotted) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  if (directory == nullptr) return FileError(path, "open");
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && (name[0] == '.') == dotted) names.push_back(name);
  }
  return names;
}

}  // namespace

absl::Status Maildir::LookAt(const std::string& directory) {
  for (const char* part : {"/new", "/cur"}) {
    const absl::StatusOr<std::vector<std::string>> names = NamesIn(directory + part, false);
    if (absl::IsNotFound(names.status()) || absl::IsFailedPrecondition(names.status())) continue;
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      seen_.emplace(BaseOf(name), absl::StrCat(directory, part, "/", name));
    }
  }
  return absl::OkStatus();
}

absl::Status Maildir::Create() {
  for (const char* part : {"/tmp", "/new", "/cur"}) RETURN_IF_ERROR(MakeDirectory(path_ + part));
  directories_[std::string(kInbox)] = path_;
  RETURN_IF_ERROR(LookAt(path_));
  ASSIGN_OR_RETURN(const std::vector<std::string> folders, NamesIn(path_, true));
  for (const std::string& folder : folders) RETURN_IF_ERROR(LookAt(absl::StrCat(path_, "/", folder)));
  return absl::OkStatus();
}

std::string Maildir::Find(const std::string& name) const {
  std::string fresh = absl::StrCat(path_, "/new/", name);
  if (access(fresh.c_str(), F_OK) == 0) return fresh;
  auto found = seen_.find(name);
  return found == seen_.end() ? "" : found->second;
}

absl::Status Maildir::Stage(const std::string& name, absl::string_view file, absl::Time arrival) {
  const std::string temporary = absl::StrCat(path_, "/tmp/", name);
  OpenFile out(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out.ok()) return FileError(temporary, "create");
  if (absl::Status written = WriteAll(out.fd(), file, temporary); !written.ok()) {
    unlink(temporary.c_str());
    return written;
  }
  // Readers show the time of the file as the time of arrival.
  timespec times[2] = {absl::ToTimespec(arrival), absl::ToTimespec(arrival)};
  futimens(out.fd(), times);
  if (fsync(out.fd()) != 0) return FileError(temporary, "sync");
  SyncLater(path_ + "/tmp");
  return absl::OkStatus();
}

bool Maildir::IsStaged(const std::string& name) const {
  return access(absl::StrCat(path_, "/tmp/", name).c_str(), F_OK) == 0;
}

absl::StatusOr<std::string> Maildir::FolderDirectory(const std::string& folder) {
  std::string& directory = directories_[folder];
  if (!directory.empty()) return directory;
  const std::string path = absl::StrCat(path_, "/", DirectoryOfFolder(folder));
  for (const char* part : {"/tmp", "/new", "/cur"}) RETURN_IF_ERROR(MakeDirectory(path + part));
  // What tells Courier that this is a folder and no Maildir of its own.
  const std::string mark = path + "/maildirfolder";
  OpenFile marked(open(mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!marked.ok()) return FileError(mark, "create");
  SyncLater(path);
  directory = path;
  return path;
}

absl::StatusOr<std::string> Maildir::KeywordLetters(
    const std::string& directory, const google::protobuf::RepeatedPtrField<std::string>& keywords) {
  if (keywords.empty()) return std::string();
  auto known = keywords_.find(directory);
  if (known == keywords_.end()) {
    ASSIGN_OR_RETURN(MaildirKeywords read, MaildirKeywords::Read(directory));
    known = keywords_.emplace(directory, std::move(read)).first;
  }
  std::string letters;
  bool added = false;
  for (const std::string& keyword : keywords) {
    std::optional<char> letter = known->second.LetterOf(keyword);
    if (!letter && !live_) {
      letter = known->second.Add(keyword);
      added = added || letter;
    }
    if (letter) letters += *letter;
  }
  if (added) RETURN_IF_ERROR(known->second.Write(directory));
  std::sort(letters.begin(), letters.end());
  return letters;
}

absl::Status Maildir::Publish(const std::string& name, const std::string& folder,
                              const google::protobuf::RepeatedField<int>& flags,
                              const google::protobuf::RepeatedPtrField<std::string>& keywords) {
  ASSIGN_OR_RETURN(const std::string directory, FolderDirectory(folder));
  ASSIGN_OR_RETURN(const std::string small, KeywordLetters(directory, keywords));
  const std::string letters = LettersOfFlags(flags) + small;
  const std::string part = directory + (letters.empty() ? "/new" : "/cur");
  const std::string path =
      letters.empty() ? absl::StrCat(part, "/", name) : absl::StrCat(part, "/", name, ":2,", letters);
  if (rename(absl::StrCat(path_, "/tmp/", name).c_str(), path.c_str()) != 0) return FileError(path, "rename");
  SyncLater(part);
  seen_[name] = path;
  return absl::OkStatus();
}

void Maildir::SyncLater(const std::string& directory) {
  absl::MutexLock lock(&mutex_);
  unsynced_.insert(directory);
}

absl::Status Maildir::Sync() {
  absl::MutexLock lock(&mutex_);
  for (const std::string& directory : unsynced_) RETURN_IF_ERROR(SyncDirectory(directory));
  unsynced_.clear();
  return absl::OkStatus();
}

}  // namespace restante::cli
