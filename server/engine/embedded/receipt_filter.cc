#include "server/engine/embedded/receipt_filter.h"

#include "server/engine/embedded/index_keys.h"

namespace restante::embedded {
namespace {

bool IsReceipt(absl::string_view key) { return !key.empty() && key[0] == 'r'; }

}  // namespace

bool ReceiptFilter::Covers(absl::string_view key) { return IsReceipt(key) || IsOpenReceiptKey(key); }

void ReceiptFilter::Add(absl::string_view key) {
  if (!Covers(key)) return;
  absl::MutexLock lock(&mutex_);
  (IsReceipt(key) ? receipts_[NumberOfKey(key)] : open_receipts_).Add(key);
}

void ReceiptFilter::SetComplete() {
  absl::MutexLock lock(&mutex_);
  complete_ = true;
}

void ReceiptFilter::DropBefore(uint64_t bucket) {
  absl::MutexLock lock(&mutex_);
  receipts_.erase(receipts_.begin(), receipts_.lower_bound(bucket));
}

bool ReceiptFilter::MayHave(absl::string_view key) const {
  if (!Covers(key)) return true;
  absl::MutexLock lock(&mutex_);
  if (!complete_) return true;
  if (!IsReceipt(key)) return open_receipts_.MayHave(key);
  const auto it = receipts_.find(NumberOfKey(key));
  return it != receipts_.end() && it->second.MayHave(key);
}

}  // namespace restante::embedded
