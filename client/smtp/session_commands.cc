// One method for each verb.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/smtp/received_header.h"
#include "client/smtp/session.h"
#include "server/base/clock.h"
#include "server/base/utf8.h"

namespace restante::smtp {
namespace {

// MAIL and RCPTs that wait for the store at the same time.
constexpr size_t kMaxSlots = 256;
// The store counts in 62 bits.
constexpr uint64_t kMaxDeclaredSize = uint64_t{1} << 62;

// Whether it can go on for ever without a message.
bool IsIdle(Verb verb) {
  switch (verb) {
    case Verb::kHelo:
    case Verb::kEhlo:
    case Verb::kLhlo:
    case Verb::kRset:
    case Verb::kNoop:
    case Verb::kVrfy:
    case Verb::kHelp:
      return true;
    default:
      return false;
  }
}

bool IsControl(unsigned char c) { return absl::ascii_iscntrl(c) && c != '\t'; }

}  // namespace

bool Session::Execute(absl::string_view line) {
  const Command command = ParseCommand(line);
  // RCPT may follow its MAIL to the store without waiting for the answer (RFC
  // 2920); all else waits until what came before it is answered.
  const bool control = std::any_of(line.begin(), line.end(), IsControl);
  if (!slots_.empty() && (control || command.verb != Verb::kRcpt || slots_.size() >= kMaxSlots)) return false;

  const auto refuse = [&](ReplyCode code, absl::string_view text) { SayError({code, std::string(text)}); };
  if (control) {
    RefuseLine(line, {kBadLine, "Control character in the command"});
    return true;
  }
  // Of these the argument is looked at below.
  const bool any_octet = command.verb == Verb::kMail || command.verb == Verb::kRcpt ||
                         command.verb == Verb::kBdat || command.verb == Verb::kVrfy;
  if (!any_octet && !IsAscii(line)) {
    if (command.verb == Verb::kUnknown) {
      refuse(kUnknownCommand, "Unknown command");
    } else {
      refuse(kBadArgument, "Non-ASCII character in the argument");
    }
    return true;
  }
  const absl::string_view argument = command.argument;
  // Refuses an argument where there is none (RFC 5321, 4.1.1.4 to 4.1.1.10).
  const auto no_argument = [&] {
    if (argument.empty()) return true;
    refuse(kBadArgument, "This command takes no argument");
    return false;
  };

  if (IsIdle(command.verb) && ++idle_commands_ > options_->max_idle_commands && !BearsOneMore()) return true;
  switch (command.verb) {
    case Verb::kUnknown:
      refuse(kUnknownCommand, line.empty() ? "Empty line" : "Unknown command");
      break;
    case Verb::kNotOffered:
    case Verb::kExpn:
      refuse(kNotImplemented, "Command not implemented");
      break;
    case Verb::kHttp:
      // What follows may be commands that somebody has put into the body of a form
      // (RFC 5321, 7.8).
      CloseForError(kNotSmtp, "HTTP is not spoken here");
      break;
    case Verb::kHelo:
    case Verb::kEhlo:
    case Verb::kLhlo:
      Hello(command.verb, argument);
      break;
    case Verb::kMail:
      Mail(argument);
      break;
    case Verb::kRcpt:
      // Whether there is room for one more recipient depends on the answers.
      if (recipients_asked_ > 0 && accepted_.size() + recipients_asked_ >= options_->max_recipients)
        return false;
      Recipient(argument);
      break;
    case Verb::kData:
      Data(argument);
      break;
    case Verb::kBdat:
      Bdat(argument);
      break;
    case Verb::kStartTls:
      StartTls(argument);
      break;
    case Verb::kXforward:
      Xforward(argument);
      break;
    case Verb::kRset:
      if (no_argument()) Abandon(TransactionEnd::kAborted, [this] { Say(kOk, "Ok"); });
      break;
    case Verb::kNoop:
      if (IsOneWordAtMost(argument)) {
        Say(kOk, "Ok");
      } else {
        refuse(kBadArgument, "NOOP takes one word at most");
      }
      break;
    case Verb::kVrfy:
      if (argument.empty()) {
        refuse(kBadArgument, "Syntax: VRFY address");
      } else if (!IsAscii(argument) && !absl::EndsWithIgnoreCase(argument, " SMTPUTF8")) {
        refuse(kNonAsciiAddress, "The address needs SMTPUTF8");
      } else {
        Say(kCannotVerify, "Cannot verify, but will accept mail for delivery");
      }
      break;
    case Verb::kHelp:
      Say(kHelpText, "RFC 5321 and RFC 2033; https://www.rfc-editor.org");
      break;
    case Verb::kQuit:
      if (no_argument()) {
        Abandon(TransactionEnd::kAborted, [this] { SayClosing(kClosing, options_->hostname + " Bye"); });
      }
      break;
  }
  return true;
}

void Session::Hello(Verb verb, absl::string_view argument) {
  // RFC 2033, 4.1: HELO and EHLO must not be LMTP's, nor LHLO SMTP's.
  if (lmtp() != (verb == Verb::kLhlo)) {
    return SayError({kUnknownCommand, lmtp() ? "This is LMTP, say LHLO" : "This is SMTP, say EHLO"});
  }
  if (argument.empty()) return SayError({kBadArgument, "A host name is missing"});
  std::string name(argument.substr(0, argument.find_first_of(" \t")));
  // RFC 5321, 4.1.4: in mid-session it means RSET.
  Abandon(TransactionEnd::kAborted, [this, verb, name = std::move(name)]() mutable {
    hello_ = verb;
    helo_ = std::move(name);
    if (verb == Verb::kHelo) return Say(kHello, options_->hostname);
    // What a message may measure, less the most that we put in front of it. Without
    // a number: not known yet.
    const v1::Capacity capacity = host_->store->capacity();
    const uint64_t header =
        ReceivedHeader{helo_, peer_.address, options_->hostname, protocol_name(/*smtputf8=*/true)}.length();
    const uint64_t max = capacity.max_message_bytes();
    const uint32_t recipients = capacity.max_recipients() == 0
                                    ? options_->max_recipients
                                    : std::min(options_->max_recipients, capacity.max_recipients());
    std::vector<std::string> lines = {
        options_->hostname, "PIPELINING", max > header ? absl::StrCat("SIZE ", max - header) : "SIZE",
        "8BITMIME",         "CHUNKING",   absl::StrCat("LIMITS RCPTMAX=", recipients),
        "SMTPUTF8"};
    if (options_->advertise_dsn) lines.emplace_back("DSN");
    if (peer_.trusted) lines.emplace_back("XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE");
    if (offers_ignore_quota()) lines.emplace_back("IGNOREQUOTA");
    lines.emplace_back("ENHANCEDSTATUSCODES");
    if (options_->offer_tls && tls_.empty()) lines.emplace_back("STARTTLS");
    AppendReply(kHello, lines, &output_);
  });
}

void Session::Mail(absl::string_view argument) {
  if (!hello_.has_value()) return SayError({kBadSequence, lmtp() ? "Say LHLO first" : "Say EHLO first"});
  if (in_transaction()) return SayError({kBadSequence, "Nested MAIL"});
  Envelope envelope = ParseEnvelope(argument, PathKind::kReverse);
  if (envelope.error.has_value()) return SayError(*envelope.error);

  TransactionRecord& record = record_.emplace();
  smtputf8_ = envelope.smtputf8;
  record.protocol = protocol_name(smtputf8_);
  record.tls = tls_;
  record.client = peer_.address;
  record.helo = helo_;
  record.forwarded = std::exchange(forwarded_, nullptr);
  record.sender = std::move(envelope.address);
  record.declared_size = envelope.size;
  record.request_id = host_->new_request_id();
  began_micros_ = host_->clock->MonotonicMicros();

  v1::Begin begin;
  begin.set_request_id(record.request_id);
  begin.set_mode(lmtp() ? v1::Begin::PER_RECIPIENT : v1::Begin::ALL_OR_NONE);
  begin.set_sender(record.sender);
  begin.set_detect_retries(true);
  begin.set_ret(envelope.ret);
  begin.set_envid(std::move(envelope.envid));
  // Whose mail it is, if it is known: bounds are for the one who sends, not for an
  // MTA that sends for many.
  const Forwarded* const forwarded = record.forwarded.get();
  const auto said = [&](std::string Forwarded::*member, const std::string& otherwise) {
    return forwarded == nullptr || (forwarded->*member).empty() ? otherwise : forwarded->*member;
  };
  begin.mutable_client()->set_address(said(&Forwarded::address, peer_.address));
  begin.mutable_client()->set_helo(SanitizeHelo(said(&Forwarded::helo, helo_)));
  // No message has no octets: who says SIZE=0 means that it is not known.
  if (envelope.size.value_or(0) > 0) {
    const uint64_t header =
        ReceivedHeader{helo_, peer_.address, options_->hostname, record.protocol}.length();
    begin.set_declared_size(std::min(*envelope.size, kMaxDeclaredSize - header) + header);
  }
  mail_refused_ = false;
  slots_.push_back({Slot::Kind::kMail, "", {}});
  // The store's word on MAIL is due now. Of a client that waits for it before it says
  // RCPT nothing is known that could tell which mailbox it is about.
  transaction_ = host_->store->Begin(std::move(begin), this, NextRecipient());
}

std::string Session::NextRecipient() const {
  const size_t end = behind_.find("\r\n");
  if (end == absl::string_view::npos) return "";
  const Command command = ParseCommand(behind_.substr(0, end));
  if (command.verb != Verb::kRcpt) return "";
  return ParseEnvelope(command.argument, PathKind::kForward, {smtputf8_, offers_ignore_quota()}).address;
}

void Session::Recipient(absl::string_view argument) {
  const auto answer = [&](Reply reply, bool is_error) {
    slots_.push_back({Slot::Kind::kReady, "", std::move(reply), is_error});
    FlushSlots();
  };
  if (!in_transaction()) return SayOutOfSequence();
  if (chunks_.has_value()) return answer({kBadSequence, "Recipients come before BDAT"}, true);
  Envelope envelope = ParseEnvelope(argument, PathKind::kForward, {smtputf8_, offers_ignore_quota()});
  if (envelope.error.has_value()) return answer(*std::move(envelope.error), true);
  if (failure_.has_value()) return answer(*failure_, false);
  if (accepted_.size() >= options_->max_recipients) {
    RecordRefused(envelope.address, kTooManyRecipients);
    return answer({kTooManyRecipients, "Too many recipients"}, false);
  }
  slots_.push_back({Slot::Kind::kRecipient, envelope.address, {}});
  ++recipients_asked_;
  v1::Recipient recipient;
  recipient.set_address(std::move(envelope.address));
  recipient.set_ignore_quota(envelope.ignore_quota);
  for (const v1::Notify notify : envelope.notify) recipient.add_notify(notify);
  recipient.set_orcpt(std::move(envelope.orcpt));
  transaction_->Recipient(std::move(recipient));
}

void Session::Data(absl::string_view argument) {
  if (!argument.empty()) return SayError({kBadArgument, "DATA takes no argument"});
  if (!in_transaction()) return SayOutOfSequence();
  if (chunks_.has_value()) {
    // RFC 3030, 2: what the two shall make together is not defined, so nothing.
    if (!failure_.has_value()) failure_ = Reply{kBadSequence, "DATA and BDAT in one message, say RSET"};
    return SayError({kBadSequence, "DATA after BDAT"});
  }
  // Also within a pipelined group: a 354 is a promise to somebody.
  if (accepted_.empty()) return Say(kBadSequence, "No valid recipients");
  if (failure_.has_value()) {
    Say(failure_->code, failure_->text);
    RecordAccepted(failure_->code);
    return EndTransaction(TransactionEnd::kRefused);
  }
  phase_ = Phase::kAwaitReady;
  transaction_->Data();
}

void Session::Bdat(absl::string_view argument) {
  const std::optional<Chunk> chunk = ParseChunk(argument);
  if (!chunk.has_value()) return SayBadChunk();
  const bool first = !chunks_.has_value();
  if (first) chunks_.emplace(options_->bare_newline == BareNewline::kRefuse);
  chunks_->Start(chunk->size, chunk->last);
  // What is announced follows, whatever becomes of it (RFC 3030, 2).
  phase_ = Phase::kDiscard;
  if (!in_transaction()) return;
  if (accepted_.empty()) {
    refusal_ = {kBadSequence, "No valid recipients"};
  } else if (failure_.has_value()) {
    refusal_ = *failure_;
  } else if (first) {
    phase_ = Phase::kAwaitReady;
    transaction_->Data();
  } else {
    phase_ = Phase::kText;
  }
}

void Session::Xforward(absl::string_view argument) {
  if (!peer_.trusted) return SayError({kNotAuthorized, "XFORWARD is for trusted networks only"});
  if (in_transaction()) return SayError({kBadSequence, "XFORWARD comes before MAIL"});
  auto forwarded = forwarded_ == nullptr ? std::make_shared<Forwarded>() : forwarded_;
  std::optional<Reply> error = ParseXforward(argument, forwarded.get());
  if (error.has_value()) return SayError(*std::move(error));
  forwarded_ = std::move(forwarded);
  Say(kOk, "Ok");
}

void Session::StartTls(absl::string_view argument) {
  if (!options_->offer_tls) return SayError({kNotImplemented, "Command not implemented"});
  if (!argument.empty()) return SayError({kBadArgument, "STARTTLS takes no argument"});
  // RFC 3207, 4.2, has it offered once only.
  if (!tls_.empty()) return SayError({kBadSequence, "TLS is active already"});
  // In a transaction too: it is forgotten with all else.
  Abandon(TransactionEnd::kAborted, [this] {
    Say(kReadyForTls, "Ready to start TLS");
    phase_ = Phase::kAwaitTls;
  });
}

}  // namespace restante::smtp
