#include "server/engine/embedded/leveldb_env.h"

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/index_files.h"
#include "server/engine/embedded/record.h"

namespace restante::embedded {
namespace {

leveldb::Status ToLevelDb(const absl::Status& status) {
  if (status.ok()) return leveldb::Status::OK();
  const std::string text(status.message());
  return absl::IsNotFound(status) ? leveldb::Status::NotFound(text) : leveldb::Status::IOError(text);
}

class SequentialFile : public leveldb::SequentialFile {
 public:
  SequentialFile(std::unique_ptr<File> file, uint64_t end) : file_(std::move(file)), end_(end) {}
  leveldb::Status Read(size_t n, leveldb::Slice* result, char* scratch) override {
    n = std::min<uint64_t>(n, end_ - std::min(at_, end_));
    const absl::StatusOr<size_t> read = file_->ReadAt(at_, n, scratch);
    if (!read.ok()) return ToLevelDb(read.status());
    at_ += *read;
    *result = leveldb::Slice(scratch, *read);
    return leveldb::Status::OK();
  }
  leveldb::Status Skip(uint64_t n) override {
    at_ += n;
    return leveldb::Status::OK();
  }

 private:
  const std::unique_ptr<File> file_;
  const uint64_t end_;
  uint64_t at_ = 0;
};

// LevelDB opens nothing but tables for this.
class RandomAccessFile : public leveldb::RandomAccessFile {
 public:
  RandomAccessFile(std::string path, std::unique_ptr<File> file, uint64_t size)
      : path_(std::move(path)), file_(std::move(file)), size_(size) {}
  leveldb::Status Read(uint64_t offset, size_t n, leveldb::Slice* result, char* scratch) const override {
    const absl::StatusOr<size_t> read = file_->ReadAt(offset, n, scratch);
    if (!read.ok()) return ToLevelDb(read.status());
    *result = leveldb::Slice(scratch, *read);
    if (!IsWholeIndexBlock(offset, {scratch, *read}, size_)) {
      return leveldb::Status::Corruption(path_, absl::StrCat("block at ", offset, " has a wrong checksum"));
    }
    return leveldb::Status::OK();
  }

 private:
  const std::string path_;
  const std::unique_ptr<File> file_;
  const uint64_t size_;
};

// The first failure of a change.
class FirstFailure {
 public:
  absl::Status status() const {
    absl::MutexLock lock(&mutex_);
    return first_;
  }
  // `change()` gives an absl::Status; it is not called after a failure.
  template <typename Change>
  absl::Status Try(Change change) {
    RETURN_IF_ERROR(status());
    absl::Status result = change();
    if (result.ok()) return result;
    absl::MutexLock lock(&mutex_);
    first_.Update(result);
    return result;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Status first_ ABSL_GUARDED_BY(mutex_);
};

class WritableFile : public leveldb::WritableFile {
 public:
  WritableFile(Files* files, FirstFailure* failure, WrittenSizes* written, std::string path,
               std::unique_ptr<File> file, uint64_t size)
      : files_(files),
        failure_(failure),
        written_(written),
        path_(std::move(path)),
        file_(std::move(file)),
        size_(size) {
    written_->Set(path_, size_);
  }
  ~WritableFile() override {
    if (file_) Close();
  }

  leveldb::Status Append(const leveldb::Slice& data) override {
    buffer_.append(data.data(), data.size());
    return buffer_.size() < kBufferBytes ? leveldb::Status::OK() : Flush();
  }
  leveldb::Status Flush() override {
    return ToLevelDb(failure_->Try([this] { return Write(); }));
  }
  leveldb::Status Sync() override {
    return ToLevelDb(failure_->Try([this]() -> absl::Status {
      if (!named_) RETURN_IF_ERROR(files_->SyncDirectory(DirectoryOf(path_)));
      named_ = true;
      RETURN_IF_ERROR(Write());
      return file_->Sync();
    }));
  }
  leveldb::Status Close() override {
    leveldb::Status status = Flush();
    file_.reset();
    if (status.ok()) written_->Forget(path_);
    return status;
  }

 private:
  static constexpr size_t kBufferBytes = 64 << 10;

  absl::Status Write() {
    if (buffer_.empty()) return absl::OkStatus();
    const absl::string_view piece = buffer_;
    absl::Status status = file_->Append({piece});
    if (status.ok()) written_->Set(path_, size_ += piece.size());
    buffer_.clear();
    return status;
  }

  Files* const files_;
  FirstFailure* const failure_;
  WrittenSizes* const written_;
  const std::string path_;
  std::unique_ptr<File> file_;
  uint64_t size_;
  std::string buffer_;
  bool named_ = false;  // Its directory entry is durable.
};

// LevelDB's own log. Those of older programs are read, when the database is opened.
class UnkeptLog : public leveldb::WritableFile {
 public:
  leveldb::Status Append(const leveldb::Slice&) override { return leveldb::Status::OK(); }
  leveldb::Status Flush() override { return leveldb::Status::OK(); }
  leveldb::Status Sync() override { return leveldb::Status::OK(); }
  leveldb::Status Close() override { return leveldb::Status::OK(); }
};

class NoLock : public leveldb::FileLock {};

class Env : public leveldb::EnvWrapper {
 public:
  Env(Files* files, WrittenSizes* written)
      : EnvWrapper(leveldb::Env::Default()), files_(files), written_(written) {}

  absl::Status first_failure() const { return failure_.status(); }

  leveldb::Status NewSequentialFile(const std::string& path, leveldb::SequentialFile** result) override {
    *result = nullptr;
    absl::StatusOr<std::unique_ptr<File>> file = files_->Open(path, Files::Mode::kRead);
    if (!file.ok()) return ToLevelDb(file.status());
    uint64_t end = UINT64_MAX;
    if (absl::StartsWith(path.substr(path.rfind('/') + 1), "MANIFEST-")) {
      const absl::StatusOr<std::string> octets = ReadWholeFile(*files_, path);
      if (!octets.ok()) return ToLevelDb(octets.status());
      const std::optional<uint64_t> untorn = UntornManifestBytes(*octets);
      if (!untorn) return leveldb::Status::Corruption(path, "damaged");
      end = *untorn;
    }
    *result = new SequentialFile(*std::move(file), end);
    return leveldb::Status::OK();
  }
  leveldb::Status NewRandomAccessFile(const std::string& path, leveldb::RandomAccessFile** result) override {
    *result = nullptr;
    absl::StatusOr<std::unique_ptr<File>> file = files_->Open(path, Files::Mode::kRead);
    if (!file.ok()) return ToLevelDb(file.status());
    const absl::StatusOr<uint64_t> size = (*file)->Size();
    if (size.ok()) *result = new RandomAccessFile(path, *std::move(file), *size);
    return ToLevelDb(size.status());
  }
  leveldb::Status NewWritableFile(const std::string& path, leveldb::WritableFile** result) override {
    return OpenWritable(path, Files::Mode::kCreate, result);
  }
  leveldb::Status NewAppendableFile(const std::string& path, leveldb::WritableFile** result) override {
    return OpenWritable(path, Files::Mode::kAppend, result);
  }
  bool FileExists(const std::string& path) override { return files_->SizeOf(path).ok(); }
  leveldb::Status GetChildren(const std::string& path, std::vector<std::string>* result) override {
    absl::StatusOr<std::vector<std::string>> names = files_->List(path);
    if (!names.ok()) return ToLevelDb(names.status());
    *result = *std::move(names);
    return leveldb::Status::OK();
  }
  leveldb::Status RemoveFile(const std::string& path) override {
    const absl::Status failed = failure_.status();
    if (!failed.ok()) return ToLevelDb(failed);
    written_->Forget(path);
    return ToLevelDb(files_->Remove(path));
  }
  leveldb::Status DeleteFile(const std::string& path) override { return RemoveFile(path); }
  leveldb::Status CreateDir(const std::string& path) override {
    return ToLevelDb(files_->MakeDirectory(path));
  }
  leveldb::Status RemoveDir(const std::string& path) override {
    return ToLevelDb(files_->RemoveDirectory(path));
  }
  leveldb::Status DeleteDir(const std::string& path) override { return RemoveDir(path); }
  leveldb::Status GetFileSize(const std::string& path, uint64_t* size) override {
    const absl::StatusOr<uint64_t> found = files_->SizeOf(path);
    *size = found.ok() ? *found : 0;
    return ToLevelDb(found.status());
  }
  leveldb::Status RenameFile(const std::string& from, const std::string& to) override {
    return ToLevelDb(failure_.Try([&]() -> absl::Status {
      RETURN_IF_ERROR(files_->Rename(from, to));
      // CURRENT names the new MANIFEST, and the old one is removed next.
      return files_->SyncDirectory(DirectoryOf(to));
    }));
  }
  leveldb::Status LockFile(const std::string&, leveldb::FileLock** lock) override {
    *lock = new NoLock;
    return leveldb::Status::OK();
  }
  leveldb::Status UnlockFile(leveldb::FileLock* lock) override {
    delete lock;
    return leveldb::Status::OK();
  }
  leveldb::Status NewLogger(const std::string&, leveldb::Logger** result) override {
    *result = NewSilentLogger().release();
    return leveldb::Status::OK();
  }

 private:
  leveldb::Status OpenWritable(const std::string& path, Files::Mode mode, leveldb::WritableFile** result) {
    *result = nullptr;
    return ToLevelDb(failure_.Try([&]() -> absl::Status {
      if (absl::EndsWith(path, ".log")) {
        *result = new UnkeptLog;
        return absl::OkStatus();
      }
      // Numbers are used again after a failure; a file whose sync failed is not.
      if (mode == Files::Mode::kCreate) {
        const absl::Status removed = files_->Remove(path);
        if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
      }
      ASSIGN_OR_RETURN(std::unique_ptr<File> file, files_->Open(path, mode));
      ASSIGN_OR_RETURN(const uint64_t size, file->Size());
      *result = new WritableFile(files_, &failure_, written_, path, std::move(file), size);
      return absl::OkStatus();
    }));
  }

  Files* const files_;
  WrittenSizes* const written_;
  FirstFailure failure_;
};

class SilentLogger : public leveldb::Logger {
 public:
  void Logv(const char*, std::va_list) override {}
};

}  // namespace

uint32_t MaskedCrc32c(absl::string_view octets) {
  const uint32_t crc = Crc32c(octets);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

bool IsWholeIndexBlock(uint64_t offset, absl::string_view octets, uint64_t table_bytes) {
  if (octets.size() == kIndexTableFooterBytes && offset + octets.size() == table_bytes) return true;
  if (octets.size() < kIndexBlockTrailerBytes) return false;
  // The checksum covers the type too.
  const size_t covered = octets.size() - sizeof(uint32_t);
  return MaskedCrc32c(octets.substr(0, covered)) == GetFixed32(octets, covered);
}

std::unique_ptr<leveldb::Env> NewLevelDbEnv(Files* files, WrittenSizes* written) {
  return std::make_unique<Env>(files, written);
}

absl::Status FirstFailureOf(const leveldb::Env& env) { return static_cast<const Env&>(env).first_failure(); }

std::unique_ptr<leveldb::Logger> NewSilentLogger() { return std::make_unique<SilentLogger>(); }

absl::Status FromLevelDb(const leveldb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = status.ToString();
  if (status.IsNotFound()) return absl::NotFoundError(text);
  return status.IsCorruption() ? absl::DataLossError(text) : absl::UnavailableError(text);
}

}  // namespace restante::embedded
