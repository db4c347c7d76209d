// The conversation with the store about one message.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/smtp/received_header.h"
#include "client/smtp/session.h"
#include "server/base/clock.h"

namespace restante::smtp {
namespace {

// Refused recipients that a log line names.
constexpr size_t kMaxRefusedRecords = 100;

Reply OfOutcome(const OutcomeReply& reply) { return {reply.code, std::string(reply.text)}; }

std::string AboutRecipient(absl::string_view address, absl::string_view text) {
  return absl::StrCat("<", Shorten(address), ">: ", text);
}

}  // namespace

void Session::OnAnswer(const v1::Answer& answer) {
  const bool commit_open = phase_ == Phase::kAwaitCommit;
  bool expected = true;
  switch (answer.kind_case()) {
    case v1::Answer::kBegun:
      expected = !slots_.empty() && slots_.front().kind == Slot::Kind::kMail;
      if (!expected) break;
      record_->transaction_id = answer.begun().transaction_id();
      idle_commands_ = 0;
      slots_.pop_front();
      Say(kSenderOk, "Sender ok");
      FlushSlots();
      break;
    case v1::Answer::kDecision:
      expected = !slots_.empty() && slots_.front().kind == Slot::Kind::kRecipient;
      if (expected) OnDecision(answer.decision());
      break;
    case v1::Answer::kReady:
      expected = phase_ == Phase::kAwaitReady;
      if (expected) OnReady(answer.ready());
      break;
    case v1::Answer::kCredit:
      break;
    case v1::Answer::kReceipts:
      expected = commit_open;
      if (expected) OnReceipts(answer.receipts());
      break;
    case v1::Answer::kRefused:
      OnRefused(answer.refused());
      break;
    case v1::Answer::kAborted:
      expected = phase_ == Phase::kAwaitAbort;
      if (expected) FinishAbort();
      break;
    case v1::Answer::kChecked:
    case v1::Answer::KIND_NOT_SET:
      // An answer of a newer store that we did not ask for.
      break;
  }
  if (!expected) return OnLost(absl::InternalError("the store's answer is out of order"), commit_open);
  Resume();
  on_answer_();
}

void Session::OnLost(absl::Status why, bool commit_sent) {
  transaction_.reset();
  if (!in_transaction()) return;
  record_->detail = why.ToString();
  if (phase_ == Phase::kAwaitCommit && commit_sent) {
    phase_ = Phase::kSettle;
    std::vector<std::string> mailboxes;
    for (const AcceptedRecipient& r : accepted_) mailboxes.push_back(r.mailbox);
    host_->store->Settle(record_->request_id, std::move(mailboxes), options_->settle_timeout,
                         [self = self_](absl::StatusOr<v1::GetReceiptResponse> response) {
                           if (*self != nullptr) (*self)->OnSettled(std::move(response));
                         });
  } else {
    FailTransaction(OfOutcome(ReplyForOutcome(v1::OUTCOME_UNAVAILABLE, options_->unknown_recipient)));
  }
  Resume();
  on_answer_();
}

void Session::OnRefused(const v1::Refused& refused) {
  transaction_.reset();
  if (!in_transaction()) return;
  record_->detail = refused.detail();
  Reply reply = OfOutcome(ReplyForOutcome(refused.outcome(), options_->unknown_recipient));
  reply.text += Explain("", refused);
  FailTransaction(std::move(reply));
}

// The whole transaction has failed in the store, wherever it was.
void Session::FailTransaction(Reply reply) {
  transaction_.reset();
  switch (phase_) {
    case Phase::kCommand: {
      if (slots_.empty() || slots_.front().kind != Slot::Kind::kMail) {
        failure_ = std::move(reply);
        for (Slot& slot : slots_) {
          if (slot.kind != Slot::Kind::kRecipient) continue;
          RecordRefused(slot.address, failure_->code);
          slot = {Slot::Kind::kReady, "", *failure_, /*is_error=*/false};
        }
        recipients_asked_ = 0;
        return FlushSlots();
      }
      // MAIL itself is refused: the RCPTs that came with it are out of sequence.
      std::deque<Slot> slots = std::move(slots_);
      slots_.clear();
      Say(reply.code, reply.text);
      mail_refused_ = true;
      slots.pop_front();
      EndTransaction(TransactionEnd::kRefused);
      // 421 says that the connection ends, too (RFC 5321, 3.8).
      if (reply.code == kShuttingDown) return Close();
      for (Slot& slot : slots) {
        // Malformed ones as well: as if they had come after the refusal.
        slot = {Slot::Kind::kReady, "", {kBadSequence, "MAIL was refused"}, /*is_error=*/false};
        slots_.push_back(std::move(slot));
      }
      return FlushSlots();
    }
    case Phase::kAwaitReady:
      if (chunks_.has_value()) {
        refusal_ = std::move(reply);
        phase_ = Phase::kDiscard;
        return;
      }
      Say(reply.code, reply.text);
      RecordAccepted(reply.code);
      phase_ = Phase::kCommand;
      return EndTransaction(TransactionEnd::kRefused);
    case Phase::kText:
      // The text goes on; it is read to its true end.
      refusal_ = std::move(reply);
      std::string().swap(outgoing_);
      phase_ = Phase::kDiscard;
      if (text_done()) FinishText();
      return;
    case Phase::kAwaitCommit:
    case Phase::kSettle:
      ReplyAfterText(reply);
      return EndTransaction(TransactionEnd::kRefused);
    case Phase::kAwaitAbort:
      return FinishAbort();
    case Phase::kDiscard:
    case Phase::kAwaitTls:
    case Phase::kClosed:
      return;
  }
}

void Session::OnDecision(const v1::Decision& decision) {
  const std::string address = std::move(slots_.front().address);
  slots_.pop_front();
  --recipients_asked_;
  if (decision.outcome() == v1::OUTCOME_OK) {
    accepted_.push_back({address, decision.mailbox(), record_->recipients.size(), std::nullopt, ""});
    record_->recipients.push_back({address, kRecipientOk});
    Say(kRecipientOk, AboutRecipient(address, "Recipient ok"));
  } else {
    const OutcomeReply reply = ReplyForOutcome(decision.outcome(), options_->unknown_recipient);
    RecordRefused(address, reply.code);
    Say(reply.code, AboutRecipient(address, absl::StrCat(reply.text, Explain(decision.mailbox(), decision))));
  }
  FlushSlots();
}

void Session::OnReady(const v1::Ready& ready) {
  for (const v1::Decision& lost : ready.lost()) {
    for (AcceptedRecipient& r : accepted_) {
      if (r.lost.has_value() || r.address != lost.address()) continue;
      r.lost = lost.outcome();
      r.lost_detail = Explain(lost.mailbox(), lost);
      break;
    }
  }
  outgoing_ = ReceivedHeader{record_->helo, peer_.address, options_->hostname, record_->protocol}.Format(
      record_->transaction_id, host_->clock->WallMicros());
  digest_.emplace(peer_.trusted);
  last_chunk_micros_ = host_->clock->MonotonicMicros();
  phase_ = Phase::kText;
  if (chunks_.has_value()) return;  // Answered behind the chunk.
  decoder_.emplace(options_->bare_newline == BareNewline::kRefuse);
  Say(kStartMail, "End data with <CR><LF>.<CR><LF>");
}

void Session::OnReceipts(const v1::Receipts& receipts) {
  std::vector<v1::Outcome> outcomes;
  for (int i = 0; i < static_cast<int>(accepted_.size()); ++i) {
    // A store that leaves one out has not said that it is stored.
    outcomes.push_back(i < receipts.receipts_size() ? receipts.receipts(i).outcome()
                                                    : v1::OUTCOME_UNSPECIFIED);
  }
  bool stored = false;
  if (lmtp()) {
    for (size_t i = 0; i < accepted_.size(); ++i) {
      const AcceptedRecipient& r = accepted_[i];
      ReplyCode code = kOk;
      if (outcomes[i] == v1::OUTCOME_OK && receipts.committed()) {
        stored = true;
        Say(code, AboutRecipient(r.address, absl::StrCat("Stored as ", record_->transaction_id)));
      } else {
        const OutcomeReply reply = ReplyForOutcome(outcomes[i], options_->unknown_recipient);
        code = reply.code;
        std::string detail = r.lost_detail;
        if (const int n = static_cast<int>(i); detail.empty() && n < receipts.receipts_size()) {
          detail = Explain(r.mailbox, receipts.receipts(n));
        }
        Say(code, AboutRecipient(r.address, absl::StrCat(reply.text, detail)));
      }
      record_->recipients[r.record].reply = code;
    }
  } else if (receipts.committed()) {
    stored = true;
    Say(kOk, absl::StrCat("Stored as ", record_->transaction_id));
    for (const AcceptedRecipient& r : accepted_) record_->recipients[r.record].reply = kOk;
  } else {
    Reply reply = OfOutcome(ReplyForAll(outcomes, options_->unknown_recipient));
    for (const v1::Receipt& receipt : receipts.receipts()) {
      if (receipt.outcome() == v1::OUTCOME_OK || !receipt.has_shortage()) continue;
      // One says enough: the sender can do nothing for one recipient alone.
      reply.text += Explain(receipt.mailbox(), receipt);
      break;
    }
    ReplyAfterText(reply);
  }
  phase_ = Phase::kCommand;
  if (!stored) return EndTransaction(TransactionEnd::kRefused);
  errors_ = 0;
  UnprovenReplies::Reply reply{record_->transaction_id, {}};
  size_t suppressed = 0;
  for (size_t i = 0; i < accepted_.size(); ++i) {
    if (outcomes[i] != v1::OUTCOME_OK) continue;
    const v1::Receipt& receipt = receipts.receipts(static_cast<int>(i));
    record_->recipients[accepted_[i].record].stored_by = receipt.first_transaction_id();
    suppressed += !receipt.first_transaction_id().empty();
    reply.mailboxes.push_back(receipt.mailbox());
  }
  const bool all = suppressed == reply.mailboxes.size();
  if (has_digest_) unproven_.Add(std::move(reply));
  EndTransaction(all ? TransactionEnd::kSuppressed : TransactionEnd::kStored);
}

void Session::OnSettled(absl::StatusOr<v1::GetReceiptResponse> response) {
  if (phase_ != Phase::kSettle) return;
  if (!response.ok()) {
    // Both 250 and 451 could be a lie. The sender, left without a reply, keeps
    // the message and tries again (RFC 5321, 4.5.4.1).
    record_->detail = response.status().ToString();
    Close();
  } else if (response->committed()) {
    OnReceipts(response->receipts());
  } else {
    FailTransaction(OfOutcome(ReplyForOutcome(v1::OUTCOME_UNAVAILABLE, options_->unknown_recipient)));
  }
  Resume();
  on_answer_();
}

void Session::FlushSlots() {
  while (!slots_.empty() && slots_.front().kind == Slot::Kind::kReady) {
    const Slot slot = std::move(slots_.front());
    slots_.pop_front();
    if (slot.is_error) {
      SayError(slot.reply);
    } else {
      Say(slot.reply.code, slot.reply.text);
    }
  }
}

void Session::SendText() {
  while (!outgoing_.empty()) {
    const uint64_t credit = transaction_->credit();
    if (credit == 0) return;
    last_chunk_micros_ = host_->clock->MonotonicMicros();
    if (outgoing_.size() <= credit) {
      transaction_->Chunk(std::exchange(outgoing_, {}));
    } else {
      transaction_->Chunk(outgoing_.substr(0, credit));
      outgoing_.erase(0, credit);
    }
  }
}

void Session::FinishText() {
  if (chunks_.has_value() && (!chunks_->last() || !in_transaction())) return FinishChunk();
  if (phase_ == Phase::kDiscard) {
    return Abandon(TransactionEnd::kRefused, [this] { ReplyAfterText(refusal_); });
  }
  if (chunks_.has_value() ? chunks_->irregular() : decoder_->irregular()) {
    record_->detail = "bare CR, bare LF or NUL in the text";
    return Abandon(TransactionEnd::kRefused, [this] {
      ReplyAfterText({kBareNewline, "The text has a line that does not end with CR LF, or NUL"});
    });
  }
  SendText();
  if (!outgoing_.empty()) return;
  phase_ = Phase::kAwaitCommit;
  std::string digest = digest_->Finish();
  has_digest_ = !digest.empty();
  transaction_->Commit(std::move(digest));
}

void Session::FinishChunk() {
  const bool refused = phase_ == Phase::kDiscard;
  phase_ = Phase::kCommand;
  if (!in_transaction()) {
    chunks_.reset();
    return SayOutOfSequence();
  }
  if (!refused) return Say(kOk, absl::StrCat(chunks_->size(), " octets received"));
  // What lacks a part is not stored: so is all that follows refused, up to LAST
  // or RSET.
  failure_ = refusal_;
  RecordAccepted(refusal_.code);
  record_->end = TransactionEnd::kRefused;
  Say(refusal_.code, refusal_.text);
}

// The message is stored for nobody, for one reason: one reply, or in LMTP one for
// each accepted recipient (RFC 2033, 4.2). Commands are next.
void Session::ReplyAfterText(const Reply& reply) {
  phase_ = Phase::kCommand;
  if (!lmtp() || accepted_.empty()) Say(reply.code, reply.text);
  for (const AcceptedRecipient& r : accepted_) {
    ReplyCode code = reply.code;
    std::string text = reply.text;
    if (lmtp()) {
      if (r.lost.has_value()) {
        const OutcomeReply own = ReplyForOutcome(*r.lost, options_->unknown_recipient);
        code = own.code;
        text = absl::StrCat(own.text, r.lost_detail);
      }
      Say(code, AboutRecipient(r.address, text));
    }
    record_->recipients[r.record].reply = code;
  }
}

void Session::Abandon(TransactionEnd end, std::function<void()> reply) {
  forwarded_.reset();
  if (transaction_ == nullptr) {
    reply();
    if (in_transaction()) EndTransaction(end);
    return;
  }
  // Answered when the store has let go: the next transaction finds the room that
  // this one had reserved.
  abort_end_ = end;
  after_abort_ = std::move(reply);
  phase_ = Phase::kAwaitAbort;
  transaction_->Abort();
}

void Session::FinishAbort() {
  transaction_.reset();
  phase_ = Phase::kCommand;
  std::exchange(after_abort_, nullptr)();
  if (in_transaction()) EndTransaction(abort_end_);
}

void Session::RecordRefused(absl::string_view address, ReplyCode code) {
  if (record_->recipients.size() - accepted_.size() < kMaxRefusedRecords) {
    record_->recipients.push_back({std::string(address), code});
  } else {
    ++record_->more_refused;
  }
}

void Session::RecordAccepted(ReplyCode code) {
  for (const AcceptedRecipient& r : accepted_) record_->recipients[r.record].reply = code;
}

void Session::EndTransaction(TransactionEnd end) {
  transaction_.reset();
  TransactionRecord record = *std::move(record_);
  record_.reset();
  // Giving up what was refused before does not change what it came to.
  if (end != TransactionEnd::kAborted) record.end = end;
  record.duration_micros = host_->clock->MonotonicMicros() - began_micros_;
  failure_.reset();
  recipients_asked_ = 0;
  accepted_.clear();
  decoder_.reset();
  chunks_.reset();
  digest_.reset();
  std::string().swap(outgoing_);
  host_->on_transaction(record);
}

}  // namespace restante::smtp
