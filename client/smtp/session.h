// One SMTP or LMTP conversation without any I/O: octets and the store's answers
// in, replies and requests to the store out. RFC 5321, 2033, 2920, 1870, 2034, 3030,
// 3207, 3461, 6531, 9422; Postfix's XFORWARD_README.
//
// The same octets give the same replies however they are split. The states and
// what each input does in them stand in README.md beside this file.
#ifndef RESTANTE_CLIENT_SMTP_SESSION_H_
#define RESTANTE_CLIENT_SMTP_SESSION_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/smtp/chunk_decoder.h"
#include "client/smtp/command_error.h"
#include "client/smtp/command_parser.h"
#include "client/smtp/content_digest.h"
#include "client/smtp/data_decoder.h"
#include "client/smtp/outcome_reply.h"
#include "client/smtp/reply.h"
#include "client/smtp/transaction_record.h"
#include "client/smtp/unproven_replies.h"
#include "client/smtp/xforward.h"
#include "restante/delivery.h"

namespace restante {
class Clock;
}

namespace restante::smtp {

enum class Protocol { kSmtp, kLmtp };

enum class BareNewline {
  // A bare CR, a bare LF and NUL are octets of the text.
  kKeep,
  // A text with one of them is refused after its true end: 550 5.6.0.
  kRefuse,
};

struct SessionOptions {
  Protocol protocol = Protocol::kSmtp;
  // Greets, and stands in `Received`.
  std::string hostname = "localhost";
  // Errors in syntax and sequence before 421; a stored message forgives.
  uint32_t max_errors = 20;
  // Commands that do not deliver anything (RSET, NOOP, VRFY, HELP and hellos) before
  // each further one counts as an error; a transaction that the store takes up forgives.
  uint32_t max_idle_commands = 1000;
  // Refusals tell trusted peers what is short, and by how much.
  bool reply_detail = true;
  // Accepted in one transaction; at least 100 (RFC 5321, 4.5.3.1.8).
  uint32_t max_recipients = 1000;
  // How long an outcome that was lost after Commit is asked for.
  std::chrono::milliseconds settle_timeout{300'000};
  BareNewline bare_newline = BareNewline::kKeep;
  // STARTTLS is there for who asks.
  bool offer_tls = false;
  // Tells hosts that notifications (RFC 3461) are seen to here.
  bool advertise_dsn = false;
  UnknownRecipient unknown_recipient = UnknownRecipient::kReject;
};

// What sessions share; all of it outlives them. Called on the sessions' thread.
struct SessionHost {
  DeliveryClient* store = nullptr;
  const Clock* clock = nullptr;
  std::function<std::string()> new_request_id;
  std::function<void(const TransactionRecord&)> on_transaction;
  // A command was refused for its syntax or sequence. May be absent.
  std::function<void(const CommandError&)> on_error = nullptr;
};

// Who is at the other end.
struct Peer {
  // IP address in text.
  std::string address;
  // Of a network that the operator trusts.
  bool trusted = false;
};

// One thread. The store's answers must not come from within a call of ours.
// Destroying it gives up an open transaction.
class Session : private TransactionHandler {
 public:
  // `on_answer` is called when an answer of the store may have changed what the
  // functions below say.
  Session(const SessionOptions* options, const SessionHost* host, std::function<void()> on_answer);
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Puts out the greeting; in LMTP, which is for trusted peers, others are told 421.
  void Start(Peer peer);

  // Takes octets of the peer. What cannot be used yet is kept, so at most one
  // read's worth is, if it is only called while wants_input().
  void Input(absl::string_view octets);

  // The peer sends no more. What it has sent is still answered. `acknowledged`: it
  // has got all octets that were written. Also once closed().
  void EndOfInput(bool acknowledged = false);

  // Whether Written is to be told of the next octets that are.
  bool awaits_proof() const { return !unproven_.empty(); }

  // All of output() was written; as in UnprovenReplies, for it is that which tells
  // the store what has reached the sender.
  void Written(size_t unread, bool ended) { unproven_.Written(unread, ended); }

  // STARTTLS is answered: when output() is written TLS is to begin. What the peer
  // has sent behind it in plaintext is forgotten (RFC 3207, 4.2 and 5).
  bool wants_tls() const { return phase_ == Phase::kAwaitTls; }

  // The connection is encrypted from here on, by `tls` (version and cipher, for the
  // log). For wants_tls(), or before Start().
  void TlsBegun(std::string tls);

  // The peer was silent for too long: 421 and the end, unless the store is what
  // is waited for.
  void IdleTimeout();

  // Ends the session with 421 as soon as no transaction is open; with `now` also
  // within one, unless it waits for the outcome of a Commit.
  void Shutdown(bool now);

  // Whether more octets can be used. False while the store is waited for and
  // after the end.
  bool wants_input() const;

  // Between MAIL and its end.
  bool in_transaction() const { return record_.has_value(); }

  // Nothing more is to be read; close when output() is written.
  bool closed() const { return phase_ == Phase::kClosed; }

  // Replies to be written; the caller removes what it wrote.
  std::string& output() { return output_; }

  // Errors in syntax and sequence so far, forgiven or not.
  uint32_t errors() const { return all_errors_; }

  // Octets held that are not yet used, passed on or written. Bounded whatever the
  // peer sends and however slow the store is.
  size_t buffered() const { return pending_.size() + outgoing_.size() + output_.size(); }

  // Grows with every finished command and all octets of a text, or every 64 KiB of one
  // that is thrown away: a peer that does not make it grow is idle.
  uint64_t progress() const { return progress_; }

 private:
  enum class Phase {
    kCommand,      // Reads commands; slots_ may wait for the store.
    kAwaitReady,   // DATA was sent to the store.
    kText,         // Reads the text, or a chunk of it, and passes it on.
    kDiscard,      // Reads it and throws it away; refusal_ is the reply.
    kAwaitCommit,  // Commit was sent.
    kSettle,       // The answer to Commit was lost; GetReceipt is under way.
    kAwaitAbort,   // Abort was sent; after_abort_ is the reply.
    kAwaitTls,     // STARTTLS was answered.
    kClosed,
  };

  // A MAIL or RCPT that is not answered yet: replies leave in order.
  struct Slot {
    enum class Kind { kMail, kRecipient, kReady } kind = Kind::kReady;
    std::string address;
    Reply reply;  // kReady: only its turn is waited for.
    bool is_error = false;
  };

  struct AcceptedRecipient {
    std::string address;
    std::string mailbox;
    size_t record = 0;  // Its place in record_.recipients.
    std::optional<v1::Outcome> lost;
    // With it: what was short, for who may know.
    std::string lost_detail;
  };

  // TransactionHandler.
  void OnAnswer(const v1::Answer& answer) override;
  void OnLost(absl::Status why, bool commit_sent) override;

  // session.cc: input and the phases.
  void Resume();
  size_t Consume(absl::string_view in);
  size_t ConsumeLine(absl::string_view in);
  size_t ConsumeText(absl::string_view in);
  size_t DecodeText(absl::string_view in, size_t room, std::string* out);
  bool text_done() const { return chunks_.has_value() ? chunks_->done() : decoder_->done(); }
  void AfterConsume();
  void Close();
  void Say(ReplyCode code, absl::string_view text);
  // A reply to a command that was wrong: counts, and may end the session.
  void SayError(const Reply& reply);
  // Tells the host, for the log and the metrics.
  void NoteError(const Reply& reply);
  // False: that was one error too many, and the session ends.
  bool BearsOneMore();
  // RCPT, DATA or BDAT without MAIL.
  void SayOutOfSequence();
  // A line that is not carried out. If it is a BDAT, what follows it may be a
  // chunk and must not be read as commands: the end.
  void RefuseLine(absl::string_view line, const Reply& reply);
  void SayBadChunk();
  void SayClosing(ReplyCode code, absl::string_view text);
  // The same for what the peer did wrong.
  void CloseForError(ReplyCode code, absl::string_view text);

  // session_commands.cc: one for each verb. False: the command has to wait for
  // the replies before it.
  bool Execute(absl::string_view line);
  // The recipient that a pipelining client names right behind MAIL (RFC 2920), to choose
  // a store by; empty if none has come.
  std::string NextRecipient() const;
  void Hello(Verb verb, absl::string_view argument);
  void Mail(absl::string_view argument);
  void Recipient(absl::string_view argument);
  void Data(absl::string_view argument);
  void Bdat(absl::string_view argument);
  void StartTls(absl::string_view argument);
  void Xforward(absl::string_view argument);
  // session_transaction.cc: the conversation with the store.
  void OnDecision(const v1::Decision& decision);
  void OnReady(const v1::Ready& ready);
  void OnReceipts(const v1::Receipts& receipts);
  void OnRefused(const v1::Refused& refused);
  void OnSettled(absl::StatusOr<v1::GetReceiptResponse> response);
  void FailTransaction(Reply reply);
  void FlushSlots();
  void SendText();
  void FinishText();
  // The same for a chunk that is not the last, or belongs to no transaction.
  void FinishChunk();
  void ReplyAfterText(const Reply& reply);
  // Gives up what is open, waits until the store has let go, then replies.
  void Abandon(TransactionEnd end, std::function<void()> reply);
  void FinishAbort();
  // ExplainShortage of a Decision, Receipt or Refused for a peer that may know.
  template <typename Answer>
  std::string Explain(absl::string_view mailbox, const Answer& answer) const {
    if (!options_->reply_detail || !peer_.trusted || !answer.has_shortage()) return "";
    return ExplainShortage(mailbox, answer.shortage());
  }
  void RecordRefused(absl::string_view address, ReplyCode code);
  void RecordAccepted(ReplyCode code);
  // Ends the transaction: log, and back to no transaction.
  void EndTransaction(TransactionEnd end);
  // As Cyrus has it, in LMTP only.
  bool offers_ignore_quota() const { return lmtp() && peer_.trusted; }
  bool lmtp() const { return options_->protocol == Protocol::kLmtp; }
  // As `Received` has it (RFC 3848; RFC 6531, 4.3).
  absl::string_view protocol_name(bool smtputf8) const;

  const SessionOptions* const options_;
  const SessionHost* const host_;
  const std::function<void()> on_answer_;
  // Settle's answer must not find a session that is gone.
  const std::shared_ptr<Session*> self_;

  Peer peer_;
  Phase phase_ = Phase::kCommand;
  bool end_of_input_ = false;
  bool draining_ = false;
  std::string output_;
  uint64_t progress_ = 0;
  size_t discarded_ = 0;  // Since it last was progress.
  uint32_t errors_ = 0;
  uint32_t all_errors_ = 0;
  uint32_t idle_commands_ = 0;

  // Input that waits, from pending_begin_ on.
  std::string pending_;
  size_t pending_begin_ = 0;
  // What has come behind the line that is carried out.
  absl::string_view behind_;
  // Within a line that is too long: its octets are dropped up to the LF.
  bool skipping_line_ = false;

  // Empty: plain.
  std::string tls_;
  std::optional<Verb> hello_;
  std::string helo_;
  // By XFORWARD, for the next transaction; goes with RSET and its like.
  std::shared_ptr<Forwarded> forwarded_;

  // Of messages that are stored, and whose retries the store would recognise.
  UnprovenReplies unproven_;

  // The transaction, if record_ has a value.
  std::optional<TransactionRecord> record_;
  int64_t began_micros_ = 0;
  std::unique_ptr<Transaction> transaction_;
  // It has failed between two commands: what to say from now on.
  std::optional<Reply> failure_;
  // The last MAIL was refused by the store: the RCPTs and DATA that a pipelining
  // client has sent behind it are no errors of its own.
  bool mail_refused_ = false;
  // The last MAIL said SMTPUTF8.
  bool smtputf8_ = false;
  std::deque<Slot> slots_;
  size_t recipients_asked_ = 0;  // Slots that wait for a Decision.
  std::vector<AcceptedRecipient> accepted_;
  std::function<void()> after_abort_;
  TransactionEnd abort_end_ = TransactionEnd::kAborted;

  // The text.
  std::optional<DataDecoder> decoder_;  // By DATA.
  std::optional<ChunkDecoder> chunks_;  // By BDAT, from the first on.
  std::optional<ContentDigest> digest_;
  bool has_digest_ = false;  // Commit was sent with one.
  std::string outgoing_;     // Decoded and not yet passed on, at most one chunk.
  int64_t last_chunk_micros_ = 0;
  Reply refusal_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_SESSION_H_
