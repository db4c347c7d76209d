// Replies of the protocol machine: their codes, and the one function that
// writes them.
//
// Enhanced codes (RFC 3463) carry no class digit here: it is the reply code's
// first digit, so that a 452 can never say 5.2.2.
#ifndef RESTANTE_CLIENT_SMTP_REPLY_H_
#define RESTANTE_CLIENT_SMTP_REPLY_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace restante::smtp {

struct ReplyCode {
  // RFC 5321, 4.2.3.
  uint16_t code = 0;
  // The enhanced code without its class; ignored if `enhanced` is false.
  uint8_t subject = 0;
  uint8_t detail = 0;
  // False for the greeting, the answer to a hello, and 354 (RFC 2034, 4).
  bool enhanced = true;

  bool positive() const { return code < 400; }
  bool permanent() const { return code >= 500; }
  friend bool operator==(const ReplyCode&, const ReplyCode&) = default;
};

inline constexpr ReplyCode kGreeting{220, 0, 0, false};
inline constexpr ReplyCode kHello{250, 0, 0, false};
inline constexpr ReplyCode kStartMail{354, 0, 0, false};

inline constexpr ReplyCode kHelpText{214, 0, 0};
inline constexpr ReplyCode kReadyForTls{220, 0, 0};
inline constexpr ReplyCode kClosing{221, 0, 0};
inline constexpr ReplyCode kOk{250, 0, 0};
inline constexpr ReplyCode kSenderOk{250, 1, 0};
inline constexpr ReplyCode kRecipientOk{250, 1, 5};
inline constexpr ReplyCode kCannotVerify{252, 0, 0};

inline constexpr ReplyCode kShuttingDown{421, 3, 2};
inline constexpr ReplyCode kTooManyConnections{421, 3, 2};
inline constexpr ReplyCode kTooManyFromClient{421, 7, 0};
inline constexpr ReplyCode kIdleTooLong{421, 4, 2};
inline constexpr ReplyCode kTooManyErrors{421, 7, 0};
inline constexpr ReplyCode kNotSmtp{421, 7, 0};
inline constexpr ReplyCode kNotTrusted{421, 7, 0};

inline constexpr ReplyCode kBusyMailbox{450, 2, 1};
inline constexpr ReplyCode kUnknownMailboxForNow{450, 1, 1};
inline constexpr ReplyCode kForeignDomainForNow{450, 7, 1};
inline constexpr ReplyCode kTryAgain{451, 3, 0};
inline constexpr ReplyCode kReadOnly{451, 3, 2};
inline constexpr ReplyCode kMailboxFull{452, 2, 2};
inline constexpr ReplyCode kSystemFull{452, 3, 1};
inline constexpr ReplyCode kTooManyRecipients{452, 5, 3};

inline constexpr ReplyCode kUnknownCommand{500, 5, 1};
inline constexpr ReplyCode kBadLine{500, 5, 2};
inline constexpr ReplyCode kLineTooLong{500, 5, 6};
inline constexpr ReplyCode kBadArgument{501, 5, 4};
inline constexpr ReplyCode kBadRecipientSyntax{501, 1, 3};
inline constexpr ReplyCode kBadSenderSyntax{501, 1, 7};
inline constexpr ReplyCode kNotImplemented{502, 5, 1};
inline constexpr ReplyCode kBadSequence{503, 5, 1};
inline constexpr ReplyCode kBadChunk{521, 5, 4};
inline constexpr ReplyCode kBareNewline{550, 6, 0};
inline constexpr ReplyCode kNotAuthorized{550, 7, 0};
inline constexpr ReplyCode kUnknownMailbox{550, 1, 1};
inline constexpr ReplyCode kInvalidAddress{550, 1, 3};
inline constexpr ReplyCode kMailboxDisabled{550, 2, 1};
inline constexpr ReplyCode kForeignDomain{550, 7, 1};
inline constexpr ReplyCode kNonAsciiAddress{553, 6, 7};
inline constexpr ReplyCode kMailboxFullForGood{552, 2, 2};
inline constexpr ReplyCode kExceedsMailbox{552, 2, 3};
inline constexpr ReplyCode kMessageTooLarge{552, 3, 4};
inline constexpr ReplyCode kUnknownParameter{555, 5, 4};

// A reply of one line, as it waits for its turn. Texts are literals; an address
// that is to be shown goes in front of them.
struct Reply {
  ReplyCode code;
  std::string text;
};

// Appends `code [enhanced] text CRLF`. A line has at most 512 octets (RFC 5321,
// 4.5.3.1.5): longer text is cut. Octets that are neither printable ASCII nor UTF-8
// become '?'; only texts with an address of a SMTPUTF8 transaction hold UTF-8.
void AppendReply(ReplyCode code, absl::string_view text, std::string* out);

// As above, one line for each text; all carry the same code.
void AppendReply(ReplyCode code, absl::Span<const std::string> texts, std::string* out);

// `452 4.2.2`, or `354` where no enhanced code belongs.
std::string FormatCode(ReplyCode code);

// At most 80 octets of what a peer sent, fit for a reply: cut with "..." and
// without anything but printable ASCII and UTF-8.
std::string Shorten(absl::string_view input);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_REPLY_H_
