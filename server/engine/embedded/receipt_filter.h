// Which receipts and open receipts the index surely does not have.
//
// A delivery asks for both, and in nearly every case there is none. Without this each
// question would be LevelDB's, which may wait for the disk, and moves tables about that
// were asked in vain.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_RECEIPT_FILTER_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_RECEIPT_FILTER_H_

#include <cstdint>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/key_filter.h"

namespace restante::embedded {

// An open receipt that is erased stays in it until the next start; few come into the
// index at all. Any thread.
class ReceiptFilter {
 public:
  // Whether this key of the index is one of these.
  static bool Covers(absl::string_view key);

  // Comes before the key is put into the index. Keys that are not covered are ignored.
  void Add(absl::string_view key);
  // From now on it has every covered key that the index has.
  void SetComplete();
  // Receipts of earlier buckets are not asked for any more.
  void DropBefore(uint64_t bucket);

  // False: the index does not have the key, nor anything that would show it.
  bool MayHave(absl::string_view key) const;

 private:
  mutable absl::Mutex mutex_;
  bool complete_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<uint64_t, KeyFilter> receipts_ ABSL_GUARDED_BY(mutex_);  // By bucket.
  KeyFilter open_receipts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_RECEIPT_FILTER_H_
