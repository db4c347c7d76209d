// What is looked after once in a while: the disk, old receipts, and a log that
// could not be written.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {

void EmbeddedEngine::RunMaintenance() {
  while (true) {
    RestoreBallast();
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      try_repair_ = !read_only_.ok();
      // Long enough.
      gathered_.unhurried = 0;
    }
    index_thread_->Hurry();
    ExpireReceipts();
    ExpireOpenReceipts();
    ExpireEvents();
    absl::MutexLock lock(&mutex_);
    if (stop_.AwaitFor(&mutex_, options_.maintenance_interval, [this] { return stopping_; })) return;
  }
}

void EmbeddedEngine::RestoreBallast() {
  if (absl::Status none = disk_.RestoreBallast(); !none.ok()) {
    LogLine(LogLevel::kWarning, absl::StrCat(none.message(),
                                             ": no ballast can be kept here; another program that fills the "
                                             "disk will cost mail that is under way (452 at the dot)"));
  }
  DiskMeasured();
}

void EmbeddedEngine::ExpireReceipts() {
  // Those of the bucket before may be younger than the lifetime.
  const uint64_t bucket = ReceiptBucket();
  if (bucket < 2 || expired_bucket_ == bucket) return;
  expired_bucket_ = bucket;
  index_thread_->RemoveRange(ReceiptBucketKey(0), ReceiptBucketKey(bucket - 1));
  index_.receipts().DropBefore(bucket - 1);
}

void EmbeddedEngine::RemoveBodyFiles(std::vector<uint64_t> bodies) {
  // Durable is that nobody holds them. A crash before this leaves files that no
  // location names, which the next start removes.
  for (const uint64_t body : bodies) {
    const std::string path = JoinPath(directory_.bodies(), BodyFileName(body));
    if (const absl::StatusOr<uint64_t> size = files_->SizeOf(path); size.ok()) {
      bodies_->kept_file_bytes -= *size;
    }
    RemoveFile(path);
  }
}

}  // namespace restante::embedded
