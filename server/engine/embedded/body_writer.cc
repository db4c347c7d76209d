#include "server/engine/embedded/body_writer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

using engine::Done;

// The state of one writer. Jobs on the pool hold it, so that it outlives a writer
// that was dropped; whoever is last cleans up.
class Builder : public std::enable_shared_from_this<Builder> {
 public:
  Builder(std::shared_ptr<BodyShared> shared, std::optional<uint64_t> expected)
      : shared_(std::move(shared)), to_file_(expected.has_value() && *expected > shared_->own_file_bytes) {}

  ~Builder() {
    ReleaseMemory();
    if (number_ == 0) return;
    file_.reset();
    {
      absl::MutexLock lock(&shared_->mutex);
      shared_->pending_files.erase(number_);
    }
    shared_->pending_file_bytes -= file_bytes_;
    shared_->pool->Post([shared = shared_, number = number_] {
      shared->files->Remove(JoinPath(shared->directory, PartFileName(number))).IgnoreError();
    });
  }

  void Append(std::string octets, Done<absl::Status> done) {
    // 256 KiB at a time compress well below a millisecond, so this is done here.
    encoder_.Append(std::move(octets), &blocks_);
    uint64_t bytes = 0;
    for (const std::string& block : blocks_) bytes += block.size();
    HoldMemory(bytes + kBlockBytes / 4);
    if (!to_file_ && bytes <= shared_->own_file_bytes && shared_->memory.load() <= shared_->memory_limit) {
      done(absl::OkStatus());
      return;
    }
    to_file_ = true;
    if (blocks_.empty()) {
      done(absl::OkStatus());
      return;
    }
    shared_->pool->Post(
        [self = shared_from_this(), done = std::move(done)]() mutable { done(self->WriteBlocks()); });
  }

  void Finish(Done<absl::StatusOr<std::unique_ptr<engine::StagedBody>>> done) {
    encoder_.Finish(&blocks_);
    if (to_file_) {
      shared_->pool->Post(
          [self = shared_from_this(), done = std::move(done)]() mutable { done(self->FinishFile()); });
      return;
    }
    auto staged = std::make_unique<Staged>(shared_);
    staged->header = encoder_.Header(shared_->next_number.fetch_add(1), shared_->store);
    staged->encoded_header = EncodeHeader(&staged->header);
    staged->blocks = std::move(blocks_);
    staged->table = encoder_.table();
    HoldMemory(staged->header.stored_bytes());
    staged->memory = std::exchange(memory_, 0);
    done(std::move(staged));
  }

 private:
  void HoldMemory(uint64_t bytes) {
    shared_->memory += bytes;
    shared_->memory -= memory_;
    memory_ = bytes;
  }
  void ReleaseMemory() { HoldMemory(0); }

  // On the pool; never two at a time, for appends come one after another.
  absl::Status WriteBlocks() {
    if (failed_.ok()) failed_ = Write();
    return failed_;
  }

  absl::Status Write() {
    if (!file_) {
      number_ = shared_->next_number.fetch_add(1);
      {
        absl::MutexLock lock(&shared_->mutex);
        shared_->pending_files.insert(number_);
      }
      ASSIGN_OR_RETURN(file_, shared_->files->Open(JoinPath(shared_->directory, PartFileName(number_)),
                                                   Files::Mode::kCreate));
    }
    std::vector<absl::string_view> pieces(blocks_.begin(), blocks_.end());
    RETURN_IF_ERROR(AppendCounted(pieces));
    blocks_.clear();
    HoldMemory(kBlockBytes);
    return absl::OkStatus();
  }

  absl::Status AppendCounted(const std::vector<absl::string_view>& pieces) {
    // Counted before they are there: the disk must not look fuller than promised.
    for (const absl::string_view piece : pieces) {
      shared_->pending_file_bytes += piece.size();
      file_bytes_ += piece.size();
    }
    return file_->Append(pieces);
  }

  absl::StatusOr<std::unique_ptr<engine::StagedBody>> FinishFile() {
    RETURN_IF_ERROR(WriteBlocks());
    RecordHeader header = encoder_.Header(number_, shared_->store);
    const std::string footer = EncodeHeader(&header);
    RETURN_IF_ERROR(AppendCounted({encoder_.table(), footer}));
    // Octets, then name: a file named `.body` is always whole. Both before a group
    // may name it.
    RETURN_IF_ERROR(file_->Sync());
    file_.reset();
    RETURN_IF_ERROR(shared_->files->Rename(JoinPath(shared_->directory, PartFileName(number_)),
                                           JoinPath(shared_->directory, BodyFileName(number_))));
    auto staged = std::make_unique<Staged>(shared_);
    staged->header = header;
    staged->own_file = true;
    staged->file_bytes = std::exchange(file_bytes_, 0);
    number_ = 0;
    RETURN_IF_ERROR(shared_->files->SyncDirectory(shared_->directory));
    return staged;
  }

  const std::shared_ptr<BodyShared> shared_;
  BodyEncoder encoder_;
  std::vector<std::string> blocks_;
  bool to_file_;
  uint64_t memory_ = 0;

  absl::Status failed_;
  uint64_t number_ = 0;  // Of the file, while it is ours.
  std::unique_ptr<File> file_;
  uint64_t file_bytes_ = 0;
};

class Writer : public engine::BodyWriter {
 public:
  explicit Writer(std::shared_ptr<Builder> builder) : builder_(std::move(builder)) {}
  void Append(std::string octets, Done<absl::Status> done) override {
    builder_->Append(std::move(octets), std::move(done));
  }
  void Finish(Done<absl::StatusOr<std::unique_ptr<engine::StagedBody>>> done) override {
    builder_->Finish(std::move(done));
  }

 private:
  const std::shared_ptr<Builder> builder_;
};

}  // namespace

Staged::~Staged() {
  shared_->memory -= memory;
  if (!own_file || kept_) return;
  shared_->pending_file_bytes -= file_bytes;
  shared_->pool->Post([shared = shared_, id = number()] {
    shared->files->Remove(JoinPath(shared->directory, BodyFileName(id))).IgnoreError();
    absl::MutexLock lock(&shared->mutex);
    shared->pending_files.erase(id);
  });
}

void Staged::Keep() {
  if (!own_file || kept_) return;
  kept_ = true;
  shared_->pending_file_bytes -= file_bytes;
  shared_->kept_file_bytes += file_bytes;
  absl::MutexLock lock(&shared_->mutex);
  shared_->pending_files.erase(number());
}

std::unique_ptr<engine::BodyWriter> NewBodyWriter(std::shared_ptr<BodyShared> shared,
                                                  std::optional<uint64_t> expected) {
  return std::make_unique<Writer>(std::make_shared<Builder>(std::move(shared), expected));
}

}  // namespace restante::embedded
