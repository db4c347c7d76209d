// Files of which a test can make some operations fail.
#ifndef RESTANTE_TESTS_EMBEDDED_FAULTY_FILES_H_
#define RESTANTE_TESTS_EMBEDDED_FAULTY_FILES_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

class FaultyFiles : public Files {
 public:
  enum class Operation { kAppend, kSync, kTruncate, kOpenNew };
  struct Fault {
    Operation operation;
    std::string path_contains;
    absl::Status status;
    int after = 0;   // So many pass before.
    int times = 1;   // So many fail; -1: all.
    int failed = 0;  // So many did.
  };

  // Any thread; the fault lasts until Heal or its `times` are used up.
  void Fail(Fault fault) {
    absl::MutexLock lock(&mutex_);
    faults_.push_back(std::move(fault));
  }
  void Heal() {
    absl::MutexLock lock(&mutex_);
    for (const Fault& fault : faults_) failed_ += fault.failed;
    faults_.clear();
  }
  // How many operations failed so far.
  int failed() {
    absl::MutexLock lock(&mutex_);
    int sum = failed_;
    for (const Fault& fault : faults_) sum += fault.failed;
    return sum;
  }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override {
    if (mode == Mode::kCreate) {
      if (absl::Status status = Check(Operation::kOpenNew, path); !status.ok()) return status;
    }
    absl::StatusOr<std::unique_ptr<File>> file = real_->Open(path, mode);
    if (!file.ok()) return file.status();
    return std::make_unique<FaultyFile>(*std::move(file), path, this);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return real_->Rename(from, to);
  }
  absl::Status Link(const std::string& from, const std::string& to) override { return real_->Link(from, to); }
  absl::Status Remove(const std::string& path) override { return real_->Remove(path); }
  absl::Status MakeDirectory(const std::string& path) override { return real_->MakeDirectory(path); }
  absl::Status RemoveDirectory(const std::string& path) override { return real_->RemoveDirectory(path); }
  absl::Status SyncDirectory(const std::string& path) override { return real_->SyncDirectory(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return real_->List(path);
  }
  absl::StatusOr<uint64_t> SizeOf(const std::string& path) override { return real_->SizeOf(path); }
  absl::StatusOr<bool> IsDirectory(const std::string& path) override { return real_->IsDirectory(path); }
  absl::StatusOr<Space> SpaceAt(const std::string& path) override { return real_->SpaceAt(path); }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    return real_->Lock(path);
  }

 private:
  class FaultyFile : public File {
   public:
    FaultyFile(std::unique_ptr<File> file, std::string path, FaultyFiles* files)
        : file_(std::move(file)), path_(std::move(path)), files_(files) {}
    absl::Status Append(absl::Span<const absl::string_view> pieces) override {
      absl::Status status = files_->Check(Operation::kAppend, path_);
      if (status.ok()) return file_->Append(pieces);
      // Torn: half of it is there.
      for (size_t i = 0; i < pieces.size() / 2; ++i) file_->Append({pieces[i]}).IgnoreError();
      return status;
    }
    absl::Status Sync() override {
      absl::Status status = files_->Check(Operation::kSync, path_);
      return status.ok() ? file_->Sync() : status;
    }
    void DropCached() override { file_->DropCached(); }
    absl::Status Truncate(uint64_t size) override {
      absl::Status status = files_->Check(Operation::kTruncate, path_);
      return status.ok() ? file_->Truncate(size) : status;
    }
    absl::Status Preallocate(uint64_t size) override { return file_->Preallocate(size); }
    absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes, char* to) const override {
      return file_->ReadAt(offset, bytes, to);
    }
    absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }

   private:
    const std::unique_ptr<File> file_;
    const std::string path_;
    FaultyFiles* const files_;
  };

  absl::Status Check(Operation operation, const std::string& path) {
    absl::MutexLock lock(&mutex_);
    for (Fault& fault : faults_) {
      if (fault.operation != operation || !absl::StrContains(path, fault.path_contains)) continue;
      if (fault.times == fault.failed) continue;
      if (fault.after-- > 0) continue;
      ++fault.failed;
      return fault.status;
    }
    return absl::OkStatus();
  }

  Files* const real_ = Files::Posix();
  absl::Mutex mutex_;
  std::vector<Fault> faults_ ABSL_GUARDED_BY(mutex_);
  int failed_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_FAULTY_FILES_H_
