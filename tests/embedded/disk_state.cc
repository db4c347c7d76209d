#include "tests/embedded/disk_state.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {
namespace {

using Kind = DiskOperation::Kind;

absl::string_view NameOf(Kind kind) {
  switch (kind) {
    case Kind::kCreate:
      return "create";
    case Kind::kAppend:
      return "append";
    case Kind::kTruncate:
      return "truncate";
    case Kind::kPreallocate:
      return "preallocate";
    case Kind::kSync:
      return "sync";
    case Kind::kDropCached:
      return "drop cached";
    case Kind::kRename:
      return "rename";
    case Kind::kLink:
      return "link";
    case Kind::kRemove:
      return "remove";
    case Kind::kMakeDirectory:
      return "make directory";
    case Kind::kRemoveDirectory:
      return "remove directory";
    case Kind::kSyncDirectory:
      return "sync directory";
    case Kind::kRead:
      return "read";
  }
  return "?";
}

absl::Status NotFound(absl::string_view path) {
  return absl::NotFoundError(absl::StrCat(path, ": no such file or directory"));
}
absl::Status Exists(absl::string_view path) {
  return absl::AlreadyExistsError(absl::StrCat(path, ": exists"));
}

bool Coin(std::mt19937_64& random, double probability) {
  return std::uniform_real_distribution<>(0, 1)(random) < probability;
}

// How much of what is not synced gets there: nothing, everything, or in between.
double AnyShare(std::mt19937_64& random) {
  constexpr double kShares[] = {0, 0.25, 0.5, 0.75, 1};
  return kShares[random() % std::size(kShares)];
}

}  // namespace

std::string DiskOperation::ToString() const {
  std::string text = absl::StrCat(NameOf(kind), " ", path);
  if (!to.empty()) absl::StrAppend(&text, " to ", to);
  if (octets) absl::StrAppend(&text, ", ", octets->size(), " octets");
  if (kind == Kind::kTruncate || kind == Kind::kPreallocate) absl::StrAppend(&text, " to ", size, " octets");
  if (failed != absl::StatusCode::kOk) absl::StrAppend(&text, ", failed: ", absl::StatusCodeToString(failed));
  return text;
}

DiskState::DiskState() {
  inodes_[kRoot].directory = true;
  inodes_[kRoot].links = 1;
}

absl::StatusOr<uint64_t> DiskState::Find(absl::string_view path) const {
  uint64_t at = kRoot;
  for (const absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    const Inode& inode = inodes_.at(at);
    const auto it = inode.entries.find(std::string(name));
    if (it == inode.entries.end()) return NotFound(path);
    at = it->second;
  }
  return at;
}

absl::StatusOr<std::pair<uint64_t, std::string>> DiskState::Split(absl::string_view path) const {
  const size_t slash = path.rfind('/');
  ASSIGN_OR_RETURN(const uint64_t directory, Find(path.substr(0, slash == path.npos ? 0 : slash)));
  if (!inodes_.at(directory).directory) return NotFound(path);
  return std::make_pair(directory, std::string(path.substr(slash + 1)));
}

uint64_t DiskState::bytes() const {
  uint64_t bytes = 0;
  for (const auto& [file, inode] : inodes_) bytes += inode.closed ? 0 : inode.cached.size();
  return bytes;
}

uint64_t DiskState::files() const {
  return static_cast<uint64_t>(
      std::count_if(inodes_.begin(), inodes_.end(), [](const auto& inode) { return !inode.second.closed; }));
}

void DiskState::Forget(uint64_t file) {
  if (const auto it = inodes_.find(file); it != inodes_.end() && it->second.links == 0) inodes_.erase(it);
}

// --- operations ---------------------------------------------------------------

absl::Status DiskState::Apply(const DiskOperation& operation) {
  switch (operation.kind) {
    case Kind::kAppend:
    case Kind::kTruncate:
    case Kind::kPreallocate:
    case Kind::kSync:
    case Kind::kDropCached:
      return ChangeOctets(operation);
    case Kind::kRead:
      return absl::OkStatus();
    default:
      return operation.failed == absl::StatusCode::kOk ? ChangeNames(operation) : absl::OkStatus();
  }
}

absl::Status DiskState::ChangeOctets(const DiskOperation& operation) {
  Inode& inode = inodes_.at(operation.file);
  const bool failed = operation.failed != absl::StatusCode::kOk;
  const uint64_t size = inode.cached.size();
  if (operation.kind == Kind::kSync) {
    if (failed) {
      FailSync(inode, operation.loss);
    } else {
      Sync(inode);
    }
  } else if (operation.kind == Kind::kDropCached) {
    if (!failed) DropCached(inode);
  } else if (operation.kind == Kind::kAppend) {
    if (operation.octets->empty()) return absl::OkStatus();
    inode.cached.Append(*operation.octets);
    inode.unsynced.push_back(
        {.from = size, .to = inode.cached.size(), .size = inode.cached.size(), .octets = operation.octets});
  } else if (operation.kind == Kind::kPreallocate ? operation.size > size
                                                  : !failed && operation.size != size) {
    inode.cached.Resize(operation.size);
    inode.unsynced.push_back({.from = std::min(size, operation.size),
                              .to = std::max(size, operation.size),
                              .size = operation.size,
                              .octets = nullptr});
  }
  return absl::OkStatus();
}

void DiskState::Sync(Inode& inode) {
  if (!inode.lossy) {
    inode.durable = inode.cached;
  } else {
    // Only what is dirty is written, in whole pages.
    constexpr uint64_t kPage = PagedOctets::kPageBytes;
    inode.durable.Resize(inode.cached.size());
    for (const Write& write : inode.unsynced) {
      inode.durable.CopyFrom(inode.cached, write.from / kPage * kPage,
                             (write.to + kPage - 1) / kPage * kPage);
    }
  }
  inode.clean = inode.cached;
  inode.unsynced.clear();
}

void DiskState::FailSync(Inode& inode, DiskOperation::Loss loss) {
  if (loss == DiskOperation::Loss::kNone) {
    Sync(inode);
    return;
  }
  std::mt19937_64 random(inode.cached.size());
  if (loss == DiskOperation::Loss::kSome) inode.durable = Torn(inode, random);
  inode.lossy = true;
  inode.clean = inode.cached;
  inode.unsynced.clear();
}

void DiskState::DropCached(Inode& inode) {
  if (!inode.lossy) return;
  constexpr uint64_t kPage = PagedOctets::kPageBytes;
  const PagedOctets dirty = inode.cached;
  // The size is not forgotten.
  inode.clean.CopyFrom(inode.durable, 0, inode.clean.size());
  inode.cached.CopyFrom(inode.durable, 0, inode.cached.size());
  for (const Write& write : inode.unsynced) {
    inode.cached.CopyFrom(dirty, write.from / kPage * kPage, (write.to + kPage - 1) / kPage * kPage);
  }
}

absl::Status DiskState::ChangeNames(const DiskOperation& operation) {
  if (operation.kind == Kind::kSyncDirectory) {
    ASSIGN_OR_RETURN(const uint64_t file, Find(operation.path));
    Inode& directory = inodes_.at(file);
    if (!directory.directory) return NotFound(operation.path);
    directory.durable_entries = directory.entries;
    directory.unsynced_changes.clear();
    return absl::OkStatus();
  }
  const bool to = operation.kind == Kind::kRename || operation.kind == Kind::kLink;
  ASSIGN_OR_RETURN(const auto target, Split(to ? operation.to : operation.path));
  Inode& directory = inodes_.at(target.first);
  const auto there = directory.entries.find(target.second);
  const uint64_t old = there == directory.entries.end() ? 0 : there->second;
  Change change;
  switch (operation.kind) {
    case Kind::kCreate:
    case Kind::kMakeDirectory:
      if (old != 0) return Exists(operation.path);
      inodes_[next_].directory = operation.kind == Kind::kMakeDirectory;
      change = {{target.second, next_++}};
      break;
    case Kind::kLink: {
      ASSIGN_OR_RETURN(const uint64_t file, Find(operation.path));
      if (old != 0) return Exists(operation.to);
      change = {{target.second, file}};
      break;
    }
    case Kind::kRename: {
      ASSIGN_OR_RETURN(const auto source, Split(operation.path));
      ASSIGN_OR_RETURN(const uint64_t file, Find(operation.path));
      if (source.first != target.first) {
        return absl::UnimplementedError(
            absl::StrCat(operation.path, ": to another directory, not simulated"));
      }
      if (old == file) return absl::OkStatus();
      if (old != 0 && inodes_.at(old).directory) return Exists(operation.to);
      change = {{source.second, 0}, {target.second, file}};
      break;
    }
    default:  // Remove, remove directory.
      if (old == 0) return NotFound(operation.path);
      if (inodes_.at(old).directory != (operation.kind == Kind::kRemoveDirectory) ||
          !inodes_.at(old).entries.empty()) {
        return absl::InternalError(absl::StrCat(operation.path, ": not empty, or of another kind"));
      }
      change = {{target.second, 0}};
  }
  Enter(change, &directory.entries);
  directory.unsynced_changes.push_back(change);
  // (A file that was renamed has lost a name and got one.)
  if (old != 0) --inodes_.at(old).links;
  if (operation.kind != Kind::kRename && change.back().second != 0) ++inodes_.at(change.back().second).links;
  return absl::OkStatus();
}

void DiskState::Enter(const Change& change, std::map<std::string, uint64_t>* entries) {
  for (const auto& [name, file] : change) {
    if (file == 0) {
      entries->erase(name);
    } else {
      (*entries)[name] = file;
    }
  }
}

// --- images ---------------------------------------------------------------------

PagedOctets DiskState::Torn(const Inode& inode, std::mt19937_64& random) {
  PagedOctets working = inode.clean, torn = inode.durable;
  std::vector<uint64_t> sizes = {torn.size()};
  const double share = AnyShare(random);
  for (const Write& write : inode.unsynced) {
    if (write.octets) {
      working.Append(*write.octets);
    } else {
      working.Resize(write.size);
    }
    if (torn.size() < working.size()) torn.Resize(working.size());
    // A sector reached the disk as it was now, or later, or never.
    for (uint64_t at = write.from / kSectorBytes * kSectorBytes; at < write.to; at += kSectorBytes) {
      if (Coin(random, share)) torn.CopyFrom(working, at, at + kSectorBytes);
    }
    sizes.push_back(write.size);
  }
  if (!inode.unsynced.empty() && inode.unsynced.back().octets && Coin(random, 0.3)) {
    const Write& last = inode.unsynced.back();
    sizes.assign(1, last.from + random() % (last.to - last.from));
  }
  // The newest size as often as all others.
  torn.Resize(Coin(random, 0.5) ? sizes.back() : sizes[random() % sizes.size()]);
  return torn;
}

DiskState DiskState::Image(Survives survives, uint64_t seed) const {
  std::mt19937_64 random(seed);
  DiskState image;
  image.inodes_.clear();
  image.next_ = next_;
  std::vector<uint64_t> reached = {kRoot};
  const auto reach = [&](uint64_t file) {
    if (file != 0) reached.push_back(file);
  };
  const double share = AnyShare(random);
  while (!reached.empty()) {
    const uint64_t file = reached.back();
    reached.pop_back();
    if (image.inodes_.contains(file)) continue;
    const Inode& from = inodes_.at(file);
    Inode& to = image.inodes_[file];
    to.directory = from.directory;
    if (survives == Survives::kEverything) {
      to = from;
      // What a later power cut may bring back is kept, too.
      for (const Change& change : from.unsynced_changes) {
        for (const auto& [name, other] : change) reach(other);
      }
      for (const auto& [name, other] : from.durable_entries) reach(other);
    } else if (from.directory) {
      to.entries = from.durable_entries;
      if (survives == Survives::kRandom) {
        for (const Change& change : from.unsynced_changes) {
          if (Coin(random, share)) Enter(change, &to.entries);
        }
      }
      to.durable_entries = to.entries;
    } else {
      to.durable = survives == Survives::kRandom ? Torn(from, random) : from.durable;
      to.cached = to.clean = to.durable;
    }
    for (const auto& [name, other] : to.entries) reach(other);
  }
  image.CountLinks();
  return image;
}

void DiskState::CountLinks() {
  for (auto& [file, inode] : inodes_) inode.links = file == kRoot;
  for (const auto& [file, inode] : inodes_) {
    for (const auto& [name, other] : inode.entries) ++inodes_.at(other).links;
  }
  for (auto& [file, inode] : inodes_) inode.closed = inode.links == 0;
}

}  // namespace restante::embedded
