#include "tests/embedded/simulated_disk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace restante::embedded {

class SimulatedDisk::OpenFile : public File {
 public:
  OpenFile(SimulatedDisk* disk, std::string path, uint64_t file)
      : disk_(disk), path_(std::move(path)), file_(file) {}
  ~OpenFile() override {
    absl::MutexLock lock(&disk_->mutex_);
    if (--disk_->open_[file_] > 0) return;
    disk_->open_.erase(file_);
    disk_->state_.Forget(file_);
  }

  absl::Status Append(absl::Span<const absl::string_view> pieces) override {
    auto octets = std::make_shared<std::string>();
    for (const absl::string_view piece : pieces) absl::StrAppend(octets.get(), piece);
    DiskOperation operation = Operation(Kind::kAppend);
    operation.octets = std::move(octets);
    return disk_->Do(std::move(operation));
  }
  absl::Status Sync() override { return disk_->Do(Operation(Kind::kSync)); }
  void DropCached() override { disk_->Do(Operation(Kind::kDropCached)).IgnoreError(); }
  absl::Status Truncate(uint64_t size) override {
    DiskOperation operation = Operation(Kind::kTruncate);
    operation.size = size;
    return disk_->Do(std::move(operation));
  }
  absl::Status Preallocate(uint64_t size) override {
    DiskOperation operation = Operation(Kind::kPreallocate);
    operation.size = size;
    return disk_->Do(std::move(operation));
  }
  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes, char* to) const override {
    absl::MutexLock lock(&disk_->mutex_);
    const PagedOctets& octets = disk_->state_.Octets(file_);
    const size_t read = octets.Read(offset, bytes, to);
    const auto in_range = [&](const Fault& fault) {
      return !fault.flips_octet || (*fault.flips_octet >= offset && *fault.flips_octet < offset + read);
    };
    const std::optional<Fault> fault = disk_->Strike(Kind::kRead, path_, in_range);
    if (!fault) return read;
    if (fault->flips_octet) to[*fault->flips_octet - offset] ^= 0x10;
    RETURN_IF_ERROR(Annotate(fault->status, path_));
    return read;
  }
  absl::StatusOr<uint64_t> Size() const override {
    absl::MutexLock lock(&disk_->mutex_);
    return disk_->state_.Octets(file_).size();
  }

 private:
  DiskOperation Operation(Kind kind) const { return {.kind = kind, .path = path_, .file = file_}; }

  SimulatedDisk* const disk_;
  const std::string path_;
  const uint64_t file_;
};

class SimulatedDisk::HeldLock : public FileLock {
 public:
  HeldLock(SimulatedDisk* disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  ~HeldLock() override {
    absl::MutexLock lock(&disk_->mutex_);
    disk_->locks_.erase(path_);
  }

 private:
  SimulatedDisk* const disk_;
  const std::string path_;
};

SimulatedDisk::SimulatedDisk(DiskState state) : state_(std::move(state)), begin_(state_), cursor_(state_) {}

// --- the record -------------------------------------------------------------------

uint64_t SimulatedDisk::operations() const {
  absl::MutexLock lock(&mutex_);
  return done_.size();
}

DiskOperation SimulatedDisk::operation(uint64_t number) const {
  absl::MutexLock lock(&mutex_);
  return done_.at(number - 1);
}

std::unique_ptr<SimulatedDisk> SimulatedDisk::CutAfter(uint64_t number, Survives survives, uint64_t seed) {
  absl::MutexLock lock(&mutex_);
  if (number < cursor_at_) {
    cursor_ = begin_;
    cursor_at_ = 0;
  }
  while (cursor_at_ < number) cursor_.Apply(done_.at(cursor_at_++)).IgnoreError();
  auto image = std::make_unique<SimulatedDisk>(cursor_.Image(survives, seed));
  image->SetCapacity(max_bytes_, max_files_);
  return image;
}

// --- faults -----------------------------------------------------------------------

SimulatedDisk::FaultId SimulatedDisk::Inject(Fault fault) {
  absl::MutexLock lock(&mutex_);
  rules_.push_back(std::make_unique<Rule>(Rule{.fault = std::move(fault)}));
  return rules_.size() - 1;
}

int SimulatedDisk::Struck(FaultId fault) const {
  absl::MutexLock lock(&mutex_);
  return rules_.at(fault)->struck;
}

void SimulatedDisk::AwaitStruck(FaultId fault) {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](Rule* rule) { return rule->struck > 0; }, rules_.at(fault).get()));
}

void SimulatedDisk::Release(FaultId fault) {
  absl::MutexLock lock(&mutex_);
  rules_.at(fault)->over = true;
}

void SimulatedDisk::Heal() {
  absl::MutexLock lock(&mutex_);
  for (const std::unique_ptr<Rule>& rule : rules_) rule->over = true;
}

void SimulatedDisk::SetCapacity(uint64_t bytes, uint64_t files) {
  absl::MutexLock lock(&mutex_);
  max_bytes_ = bytes;
  max_files_ = files;
}

int SimulatedDisk::out_of_room() const {
  absl::MutexLock lock(&mutex_);
  return out_of_room_;
}

std::optional<SimulatedDisk::Fault> SimulatedDisk::Strike(Kind kind, absl::string_view path,
                                                          absl::FunctionRef<bool(const Fault&)> applies) {
  for (const std::unique_ptr<Rule>& held : rules_) {
    Rule& rule = *held;
    Fault& fault = rule.fault;
    if (rule.over || rule.struck == fault.times || !absl::StrContains(path, fault.path_contains)) continue;
    if (fault.kind ? *fault.kind != kind : kind == Kind::kRead) continue;
    if (fault.number != 0 && fault.number != done_.size() + 1) continue;
    if (!applies(fault) || fault.after-- > 0) continue;
    ++rule.struck;
    Fault strikes = fault;
    if (fault.held) mutex_.Await(absl::Condition(&rule.over));
    return strikes;
  }
  return std::nullopt;
}

absl::Status SimulatedDisk::FitInto(DiskOperation* operation) {
  const auto full = [&](absl::string_view what) {
    ++out_of_room_;
    operation->failed = absl::StatusCode::kResourceExhausted;
    return absl::ResourceExhaustedError(absl::StrCat(operation->path, ": no ", what, " left on the disk"));
  };
  if (operation->kind == Kind::kCreate || operation->kind == Kind::kMakeDirectory) {
    if (state_.files() >= max_files_) return full("inode");
  }
  const uint64_t used = state_.bytes();
  const uint64_t left = max_bytes_ > used ? max_bytes_ - used : 0;
  if (operation->kind == Kind::kAppend && operation->octets->size() > left) {
    operation->octets = std::make_shared<std::string>(operation->octets->substr(0, left));
    return full("space");
  }
  if (operation->kind == Kind::kPreallocate) {
    const uint64_t possible = state_.Octets(operation->file).size() + left;
    if (operation->size > possible) {
      operation->size = possible;
      return full("space");
    }
  }
  return absl::OkStatus();
}

absl::Status SimulatedDisk::Do(DiskOperation operation) {
  absl::MutexLock lock(&mutex_);
  return DoLocked(std::move(operation));
}

absl::Status SimulatedDisk::DoLocked(DiskOperation operation) {
  absl::Status result;
  if (const std::optional<Fault> fault = Strike(operation.kind, operation.path);
      fault && !fault->status.ok()) {
    result = Annotate(fault->status, operation.path);
    operation.failed = result.code();
    operation.loss = fault->loss;
    if (operation.octets) {
      const auto part = static_cast<size_t>(static_cast<double>(operation.octets->size()) * fault->part);
      operation.octets = std::make_shared<std::string>(operation.octets->substr(0, part));
    } else {
      operation.size = 0;  // Nothing was allocated.
    }
  } else if (max_bytes_ != kVast || max_files_ != UINT64_MAX) {
    result = FitInto(&operation);
  }
  RETURN_IF_ERROR(state_.Apply(operation));
  done_.push_back(std::move(operation));
  return result;
}

// --- Files --------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<File>> SimulatedDisk::Open(const std::string& path, Mode mode) {
  absl::MutexLock lock(&mutex_);
  absl::StatusOr<uint64_t> file = state_.Find(path);
  if (mode != Mode::kRead && absl::IsNotFound(file.status())) {
    RETURN_IF_ERROR(DoLocked({.kind = Kind::kCreate, .path = path}));
    file = state_.Find(path);
  } else if (file.ok() && mode == Mode::kCreate && state_.Octets(*file).size() > 0) {
    RETURN_IF_ERROR(DoLocked({.kind = Kind::kTruncate, .path = path, .file = *file}));
  }
  RETURN_IF_ERROR(file.status());
  if (state_.IsDirectory(*file)) return absl::InternalError(absl::StrCat(path, ": is a directory"));
  ++open_[*file];
  return std::make_unique<OpenFile>(this, path, *file);
}

absl::Status SimulatedDisk::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mutex_);
  const absl::StatusOr<uint64_t> replaced = state_.Find(to);
  RETURN_IF_ERROR(DoLocked({.kind = Kind::kRename, .path = from, .to = to}));
  if (replaced.ok() && !open_.contains(*replaced)) state_.Forget(*replaced);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::Link(const std::string& from, const std::string& to) {
  return Do({.kind = Kind::kLink, .path = from, .to = to});
}

absl::Status SimulatedDisk::Remove(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  const absl::StatusOr<uint64_t> file = state_.Find(path);
  RETURN_IF_ERROR(DoLocked({.kind = Kind::kRemove, .path = path}));
  if (file.ok() && !open_.contains(*file)) state_.Forget(*file);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::MakeDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (!state_.Find(part).ok()) RETURN_IF_ERROR(DoLocked({.kind = Kind::kMakeDirectory, .path = part}));
    if (slash == path.npos) return absl::OkStatus();
  }
}

absl::Status SimulatedDisk::RemoveDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  const absl::StatusOr<uint64_t> directory = state_.Find(path);
  RETURN_IF_ERROR(DoLocked({.kind = Kind::kRemoveDirectory, .path = path}));
  state_.Forget(*directory);
  return absl::OkStatus();
}

absl::Status SimulatedDisk::SyncDirectory(const std::string& path) {
  return Do({.kind = Kind::kSyncDirectory, .path = path});
}

absl::StatusOr<std::vector<std::string>> SimulatedDisk::List(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const uint64_t directory, state_.Find(path));
  std::vector<std::string> names;
  for (const auto& [name, file] : state_.Entries(directory)) names.push_back(name);
  return names;
}

absl::StatusOr<uint64_t> SimulatedDisk::SizeOf(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const uint64_t file, state_.Find(path));
  return state_.Octets(file).size();
}

absl::StatusOr<bool> SimulatedDisk::IsDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const uint64_t file, state_.Find(path));
  return state_.IsDirectory(file);
}

absl::StatusOr<Files::Space> SimulatedDisk::SpaceAt(const std::string&) {
  absl::MutexLock lock(&mutex_);
  const uint64_t used = state_.bytes(), files = state_.files();
  return Space{.total = max_bytes_,
               .available = max_bytes_ > used ? max_bytes_ - used : 0,
               .available_files = max_files_ == UINT64_MAX ? UINT64_MAX
                                  : max_files_ > files     ? max_files_ - files
                                                           : 0};
}

absl::StatusOr<std::unique_ptr<FileLock>> SimulatedDisk::Lock(const std::string& path) {
  RETURN_IF_ERROR(Open(path, Mode::kAppend).status());
  absl::MutexLock lock(&mutex_);
  if (!locks_.insert(path).second) return absl::UnavailableError(absl::StrCat(path, ": locked"));
  return std::make_unique<HeldLock>(this, path);
}

}  // namespace restante::embedded
