// Warns the owner of a mailbox that fills: a message into the mailbox itself.
//
// For each event that a mailbox rose to a threshold, but no more than one in an
// interval, and none if it fell again before, is on hold or disabled. The message is
// charged and subject to no quota, its reverse path is null, and it crosses no
// threshold, so no warning is about a warning. It is put there under a request id made
// of the event's number: made a second time, after a crash, it is answered from its
// receipt.
#ifndef RESTANTE_SERVER_MAIL_QUOTA_WARNINGS_H_
#define RESTANTE_SERVER_MAIL_QUOTA_WARNINGS_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/mail/event_consumer.h"
#include "server/mail/event_feed.h"
#include "server/mail/messages.h"
#include "server/mail/warning_template.h"

namespace restante::mail {

class QuotaWarnings {
 public:
  struct Options {
    WarningTemplate text = WarningTemplate::BuiltIn();
    std::string hostname;
    absl::Duration interval = absl::Hours(24);  // Of store time.
    EventConsumer::Options consumer = {.name = "warnings"};
  };

  // Both outlive it.
  QuotaWarnings(Messages* messages, EventFeed* feed, Options options);

  uint64_t sent() const { return sent_; }
  EventConsumer::Figures figures() const { return consumer_.figures(); }

 private:
  Task<absl::Status> Warn(engine::stored::Event event);
  Task<absl::Status> Put(engine::stored::Event event);
  Task<absl::Status> Note(engine::stored::Event event);

  Messages* const messages_;
  engine::Engine* const engine_;
  const Options options_;
  std::atomic<uint64_t> sent_{0};
  EventConsumer consumer_;
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_QUOTA_WARNINGS_H_
