// What adding mailboxes up has found, for those who watch over the store.
#ifndef RESTANTE_SERVER_MAIL_QUOTA_DRIFT_H_
#define RESTANTE_SERVER_MAIL_QUOTA_DRIFT_H_

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/mail/audit.h"

namespace restante::mail {

// Any thread.
class QuotaDrift {
 public:
  struct Found {
    // Mailboxes whose usage was not the sum of their messages, and by how many octets.
    uint64_t mailboxes = 0, bytes = 0;
    std::optional<int64_t> time_us;  // Wall clock, when it was looked for last.
  };

  // The same of one mailbox.
  static Found Of(const Audit& audit) {
    if (audit.recorded == audit.actual) return {};
    const uint64_t recorded = audit.recorded.bytes, actual = audit.actual.bytes;
    return {
        .mailboxes = 1, .bytes = recorded > actual ? recorded - actual : actual - recorded, .time_us = {}};
  }

  // All were looked at: what was found before is history.
  void SetAll(uint64_t mailboxes, uint64_t bytes, int64_t now_us) {
    absl::MutexLock lock(&mutex_);
    found_ = {.mailboxes = mailboxes, .bytes = bytes, .time_us = now_us};
  }
  // One was, besides.
  void Add(const Audit& audit, int64_t now_us) {
    const Found of = Of(audit);
    absl::MutexLock lock(&mutex_);
    found_ = {
        .mailboxes = found_.mailboxes + of.mailboxes, .bytes = found_.bytes + of.bytes, .time_us = now_us};
  }
  Found found() const {
    absl::MutexLock lock(&mutex_);
    return found_;
  }

 private:
  mutable absl::Mutex mutex_;
  Found found_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_QUOTA_DRIFT_H_
