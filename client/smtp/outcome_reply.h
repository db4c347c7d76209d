// What the store decided, as an SMTP reply: the one table.
#ifndef RESTANTE_CLIENT_SMTP_OUTCOME_REPLY_H_
#define RESTANTE_CLIENT_SMTP_OUTCOME_REPLY_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/smtp/reply.h"
#include "restante/v1/common.pb.h"

namespace restante::smtp {

// `--unknown-recipient`: whether the store's word on who exists is final.
enum class UnknownRecipient {
  // 550: the sender gets a bounce.
  kReject,
  // 450: while mailboxes are being moved in, the sender keeps the mail.
  kTempfail,
};

struct OutcomeReply {
  ReplyCode code;
  // A literal; never input.
  absl::string_view text;
};

// The reply to a recipient or a message that was refused with `outcome`. Whatever
// has no row of its own, OUTCOME_OK and values of a newer store included, is
// 451 4.3.0: a sender's queue is the safest place for the mail.
OutcomeReply ReplyForOutcome(v1::Outcome outcome, UnknownRecipient unknown);

// What was short, in words and numbers, to stand behind a reply's text: ` (alice@x:
// limit 16384 bytes, used 16000, reserved 0, needed 900, missing 516)`. `mailbox`: its
// name in the API (`mailboxes/...`), named where it is the mailbox that is full.
std::string ExplainShortage(absl::string_view mailbox, const v1::Shortage& shortage);

// The one reply after the dot for a message that was stored for nobody, from the
// outcomes of all its accepted recipients. One outcome that all who failed share
// is answered as such; else permanent only if every recipient is refused
// permanently, and otherwise 452 4.2.2, or 452 4.3.1 if none failed for its own
// mailbox. A recipient that could have had it is not refused permanently.
OutcomeReply ReplyForAll(absl::Span<const v1::Outcome> outcomes, UnknownRecipient unknown);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_OUTCOME_REPLY_H_
