// The messages of a mailbox: listing, reading, expunging, adding up. Adding one
// is append.h.
#ifndef RESTANTE_SERVER_MAIL_MESSAGES_H_
#define RESTANTE_SERVER_MAIL_MESSAGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/address.h"
#include "server/mail/audit.h"
#include "server/mail/entries.h"
#include "server/mail/message_text.h"
#include "server/mail/names.h"
#include "server/mail/quota_drift.h"

namespace restante::mail {

namespace stored = ::restante::stored::v1;

struct MessageView {
  std::string mailbox;  // Canonical address.
  std::string folder;
  stored::Entry entry;
};

struct MessagePage {
  std::vector<MessageView> items;
  uint64_t next = 0;  // Continue after this UID; 0: no more.
};

// A message, and a range of its text on its way.
struct MessageReading {
  MessageView message;
  MessageText text;
};

// Any thread. Outlives its calls. Errors of all methods: kNotFound with the
// resource; kUnavailable and kDataLoss as the engine says.
class Messages {
 public:
  // `max_message`: the largest message that Append takes, octets.
  Messages(engine::Engine* engine, uint64_t max_message, const Clock* clock);

  // In ascending order of UID, from the first above `after`. `arrived_before_us`
  // (wall clock): only those. Looks at `limit` messages, or as many as have 1 MiB of
  // what is known about them, so that a page can be short, or empty, before the last.
  Task<absl::StatusOr<MessagePage>> List(ParentRef parent, uint64_t after, size_t limit,
                                         std::optional<int64_t> arrived_before_us);
  Task<absl::StatusOr<MessageView>> Get(MessageRef ref);
  // The same with octets [offset, offset + length) of the text, cut at its end. kOutOfRange:
  // `offset` lies beyond that.
  Task<absl::StatusOr<MessageReading>> Read(MessageRef ref, uint64_t offset, uint64_t length);
  // The next octets. kNotFound: expunged since Read.
  Task<absl::StatusOr<std::string>> NextOf(MessageReading* reading);

  // Expunges in one step; UIDs that are not there are passed over.
  Task<absl::StatusOr<EntrySums>> Delete(ParentRef parent, std::vector<uint64_t> uids);

  // Compares the figures kept with the sum of the entries, and corrects them.
  // kUnavailable: it changed too fast to be added up.
  Task<absl::StatusOr<Audit>> Recalculate(Address address);

  engine::Engine* engine() const { return engine_; }
  uint64_t max_message() const { return max_message_; }
  const Clock* clock() const { return clock_; }
  // What Recalculate has found, and whoever else adds mailboxes up.
  QuotaDrift& drift() { return drift_; }

 private:
  engine::Engine* const engine_;
  const uint64_t max_message_;
  const Clock* const clock_;
  QuotaDrift drift_;
  BodyGuesses guesses_;
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_MESSAGES_H_
