// The second half of a transaction: confirming, taking the text, storing it; and
// answering a repetition.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/engine/commit_entry.h"
#include "server/mail/deliveries.h"
#include "server/mail/recipient_decision.h"
#include "server/mail/transaction.h"
#include "server/mail/transaction_id.h"

namespace restante::mail {
namespace {

// Credit is given back in pieces of this size: a quarter of the first window,
// so that a sender with a full pipe never runs dry.
constexpr uint64_t kCreditStep = kInitialCredit / 4;
// SHA-256.
constexpr size_t kDigestOctets = 32;

// Mailboxes that had the message before.
size_t CountSuppressed(const stored::Receipt& receipt) {
  absl::flat_hash_set<uint64_t> mailboxes;
  for (const stored::ReceiptRecipient& r : receipt.recipients()) {
    if (!r.stored_by().empty()) mailboxes.insert(r.mailbox());
  }
  return mailboxes.size();
}

}  // namespace

// --- DATA ------------------------------------------------------------------------

void Transaction::OnData() {
  if (state_ == State::kReplaying) {
    writer_ = deliveries_->engine()->NewBody(replay_.size());
    v1::Answer answer;
    answer.mutable_ready();
    return Send(std::move(answer));
  }
  if (accepted_.empty()) return Refuse(v1::OUTCOME_NO_RECIPIENTS, "Data without an accepted recipient");
  deliveries_->engine()->Confirm(id_, Resume<absl::StatusOr<engine::Confirmed>>(
                                          [](Transaction* t, absl::StatusOr<engine::Confirmed> result) {
                                            t->OnConfirmed(std::move(result));
                                          }));
}

void Transaction::OnConfirmed(absl::StatusOr<engine::Confirmed> result) {
  if (!result.ok()) return RefuseForStatus(result.status(), "confirming");
  if (result->disk) {
    const v1::Shortage shortage = ToShortage(*result->disk);
    return Refuse(v1::OUTCOME_DISK_FULL, "disk: the reservation was taken by others meanwhile", &shortage);
  }
  if (!TakeLosses(result->lost)) return;
  if (!AnyLive()) return Refuse(CombinedOutcome(), "every reservation was taken by others meanwhile");
  UncountClient();
  covered_ = disk_reserved_;
  for (const Accepted& a : accepted_) {
    if (a.outcome == v1::OUTCOME_OK) covered_ = std::min(covered_, decided_[a.decided].reserved_bytes());
  }
  state_ = State::kReady;
  writer_ = deliveries_->engine()->NewBody(declared_);
  v1::Answer answer;
  v1::Ready& ready = *answer.mutable_ready();
  for (const Accepted& a : accepted_) {
    if (a.outcome == v1::OUTCOME_OK) continue;
    v1::Decision& lost = *ready.add_lost();
    lost.set_address(a.address);
    lost.set_outcome(a.outcome);
    lost.set_mailbox(decided_[a.decided].mailbox_name());
    if (a.shortage) *lost.mutable_shortage() = ToShortage(*a.shortage);
  }
  Send(std::move(answer));
}

bool Transaction::TakeLosses(const std::vector<engine::Lost>& lost) {
  if (lost.empty()) return true;
  for (const engine::Lost& loss : lost) {
    for (Accepted& a : accepted_) {  // Recipients that share the mailbox share the loss.
      if (a.mailbox != loss.mailbox) continue;
      a.outcome = OutcomeOf(loss.shortage, a.permfail);
      a.shortage = loss.shortage;
    }
    deliveries_->engine()->Release(id_, loss.mailbox);
  }
  if (per_recipient_) return true;
  const engine::Shortage& first = lost.front().shortage;
  const v1::Shortage shortage = ToShortage(first);
  Refuse(CombinedOutcome(),
         absl::StrCat("needs ", first.needed, " ", first.counts_messages ? "messages" : "bytes", ", ",
                      first.used, " used and ", first.reserved, " reserved of ", first.limit),
         &shortage);
  return false;
}

v1::Outcome Transaction::CombinedOutcome() const {
  bool all_permanent = true;
  bool any_mailbox = false;
  for (const Accepted& a : accepted_) {
    all_permanent &= a.outcome == v1::OUTCOME_MAILBOX_FULL_PERMANENTLY;
    any_mailbox |= a.outcome == v1::OUTCOME_MAILBOX_FULL || a.outcome == v1::OUTCOME_MAILBOX_FULL_PERMANENTLY;
  }
  if (all_permanent) return v1::OUTCOME_MAILBOX_FULL_PERMANENTLY;
  return any_mailbox ? v1::OUTCOME_MAILBOX_FULL : v1::OUTCOME_DOMAIN_FULL;
}

bool Transaction::AnyLive() const {
  return std::any_of(accepted_.begin(), accepted_.end(),
                     [](const Accepted& a) { return a.outcome == v1::OUTCOME_OK; });
}

// --- the text --------------------------------------------------------------------

void Transaction::OnChunk(std::string octets) {
  received_ += octets.size();
  if (received_ > credit_granted_) {
    return Refuse(v1::OUTCOME_CREDIT_EXCEEDED,
                  absl::StrCat(received_, " bytes of chunks sent, ", credit_granted_, " granted"));
  }
  const uint64_t maximum = deliveries_->options().max_message;
  if (received_ > maximum) {
    v1::Shortage shortage;
    shortage.set_scope(v1::Shortage::MESSAGE);
    shortage.set_limit(maximum);
    shortage.set_needed(received_);
    return Refuse(v1::OUTCOME_MESSAGE_TOO_LARGE,
                  absl::StrCat("message: ", received_, " bytes and more, at most ", maximum), &shortage);
  }
  if (state_ == State::kReplaying || received_ <= covered_ || !AnyLive()) return Append(std::move(octets));
  auto shared = std::make_shared<std::string>(std::move(octets));
  deliveries_->engine()->Extend(id_, received_,
                                Resume<absl::StatusOr<engine::Extended>>(
                                    [shared](Transaction* t, absl::StatusOr<engine::Extended> result) {
                                      t->OnExtended(std::move(*shared), std::move(result));
                                    }));
}

void Transaction::OnExtended(std::string octets, absl::StatusOr<engine::Extended> result) {
  if (!result.ok()) return RefuseForStatus(result.status(), "extending");
  if (result->disk) {
    const v1::Shortage shortage = ToShortage(*result->disk);
    return Refuse(v1::OUTCOME_DISK_FULL,
                  "disk: the message outgrew its reservation and there is no more room", &shortage);
  }
  for (const engine::Lost& loss : result->lost) {
    deliveries_->outgrown().Remember(loss.mailbox, sender_, declared_, received_);
  }
  if (!TakeLosses(result->lost)) return;
  covered_ = received_;
  Append(std::move(octets));
}

void Transaction::Append(std::string octets) {
  const size_t count = octets.size();
  if (!writer_) return OnAppended(count, absl::OkStatus());
  if (state_ == State::kReady && !AnyLive()) {
    // PER_RECIPIENT with nobody left: the rest is read for its size only.
    writer_.reset();
    return OnAppended(count, absl::OkStatus());
  }
  writer_->Append(std::move(octets), Resume<absl::Status>([count](Transaction* t, const absl::Status& s) {
                    t->OnAppended(count, s);
                  }));
}

void Transaction::OnAppended(size_t octets, const absl::Status& status) {
  if (!status.ok()) return RefuseForStatus(status, "writing");
  consumed_since_credit_ += octets;
  if (consumed_since_credit_ < kCreditStep) return;
  credit_granted_ += consumed_since_credit_;
  v1::Answer answer;
  answer.mutable_credit()->set_bytes(consumed_since_credit_);
  consumed_since_credit_ = 0;
  Send(std::move(answer));
}

// --- the dot ---------------------------------------------------------------------

void Transaction::OnCommit(const v1::Commit& commit) {
  if (commit.size() != received_) {
    return Refuse(v1::OUTCOME_CONTENT_MISMATCH,
                  absl::StrCat(commit.size(), " bytes announced by Commit, ", received_, " received"));
  }
  if (!commit.digest().empty() && commit.digest().size() != kDigestOctets) {
    return Refuse(v1::OUTCOME_INVALID_EVENT, absl::StrCat("digest has ", commit.digest().size(),
                                                          " octets, SHA-256 has ", kDigestOctets));
  }
  if (detect_retries_ && !commit.digest().empty()) retry_key_ = MakeRetryKey(sender_, commit.digest());
  if (!writer_) return Store(nullptr);
  auto asked = std::make_shared<v1::Commit>(commit);
  writer_->Finish(Resume<absl::StatusOr<std::unique_ptr<engine::StagedBody>>>(
      [asked](Transaction* t, absl::StatusOr<std::unique_ptr<engine::StagedBody>> body) {
        t->OnFinished(*asked, std::move(body));
      }));
}

void Transaction::OnFinished(const v1::Commit& commit,
                             absl::StatusOr<std::unique_ptr<engine::StagedBody>> body) {
  if (!body.ok()) return RefuseForStatus(body.status(), "finishing");
  writer_.reset();
  if (commit.has_crc32c() && commit.crc32c() != (*body)->crc32c()) {
    return Refuse(v1::OUTCOME_CONTENT_MISMATCH,
                  absl::StrCat("CRC32C announced by Commit: ", absl::Hex(commit.crc32c()),
                               ", of what was received: ", absl::Hex((*body)->crc32c())));
  }
  if (state_ == State::kReplaying) {
    if (replay_next_ != replay_.recipients_size() || replay_.size() != received_ ||
        replay_.crc32c() != (*body)->crc32c()) {
      return Refuse(v1::OUTCOME_REQUEST_ID_IN_USE,
                    "the request id was used for a message with other content or recipients");
    }
    v1::Answer answer;
    *answer.mutable_receipts() = ToReceipts(id_, replay_);
    Send(std::move(answer));
    return End();
  }
  Store(*std::move(body));
}

void Transaction::Store(std::unique_ptr<engine::StagedBody> body) {
  stored::Receipt receipt;
  for (const Accepted& a : accepted_) {
    decided_[a.decided].set_outcome(a.outcome);
    if (a.outcome != v1::OUTCOME_OK && a.shortage && !a.repeated) {
      NoteRefusal(a.outcome, a.address, NumbersOf(ToShortage(*a.shortage)));
      deliveries_->outgrown().Remember(a.mailbox, sender_, declared_, received_);
    }
  }
  for (stored::ReceiptRecipient& r : decided_) *receipt.add_recipients() = r;
  receipt.set_mode(per_recipient_ ? 1 : 0);
  receipt.set_sender(sender_);
  receipt.set_size(received_);
  if (!AnyLive()) {
    // PER_RECIPIENT, and everybody failed on the way: each with an own reply.
    v1::Answer answer;
    *answer.mutable_receipts() = Receipts(receipt);
    Send(std::move(answer));
    deliveries_->counters().refused++;
    return End();
  }
  receipt.set_committed(true);
  receipt.set_crc32c(body->crc32c());

  engine::CommitRequest request;
  request.transaction = id_;
  request.body = std::move(body);
  request.retry_key = retry_key_;
  const int64_t now = deliveries_->clock()->WallMicros();
  for (const Accepted& a : accepted_) {
    if (a.outcome != v1::OUTCOME_OK || a.repeated) continue;
    stored::Entry entry;
    entry.set_arrival_us(now);
    entry.set_exempt(a.exempt);
    stored::Envelope& envelope = *entry.mutable_envelope();
    envelope.set_sender(sender_);
    envelope.set_recipient(a.address);
    envelope.set_ret(ret_);
    envelope.set_envid(envid_);
    envelope.mutable_dsn_recipients()->Assign(a.dsn.begin(), a.dsn.end());
    request.entries.emplace_back(a.mailbox, std::move(entry));
  }
  request.receipt = std::move(receipt);
  engine_open_ = false;  // The engine closes it, whatever happens.
  deliveries_->engine()->Commit(
      std::move(request),
      Resume<absl::StatusOr<stored::Receipt>>(
          [](Transaction* t, absl::StatusOr<stored::Receipt> result) { t->OnStored(std::move(result)); }));
}

void Transaction::OnStored(absl::StatusOr<stored::Receipt> result) {
  if (!result.ok()) return RefuseForStatus(result.status(), "storing");
  v1::Answer answer;
  *answer.mutable_receipts() = Receipts(*result);
  const size_t suppressed = CountSuppressed(*result);
  deliveries_->counters().suppressed_copies += suppressed;
  if (suppressed == engine::MailboxesOf(*result).size()) {
    deliveries_->counters().suppressed++;
  } else {
    deliveries_->counters().stored++;
  }
  Send(std::move(answer));
  End();
}

v1::Receipts Transaction::Receipts(const stored::Receipt& receipt) const {
  v1::Receipts receipts = ToReceipts(id_, receipt);
  // One receipt for each accepted recipient, in the same order.
  for (size_t i = 0; i < accepted_.size(); ++i) {
    if (accepted_[i].shortage)
      *receipts.mutable_receipts(i)->mutable_shortage() = ToShortage(*accepted_[i].shortage);
  }
  return receipts;
}

// --- a repetition ----------------------------------------------------------------

void Transaction::ReplayRecipient(const std::string& address) {
  if (writer_ || replay_next_ >= replay_.recipients_size() ||
      replay_.recipients(replay_next_).address() != address) {
    return Refuse(v1::OUTCOME_REQUEST_ID_IN_USE,
                  "the request id was used for a message with other recipients");
  }
  const stored::ReceiptRecipient& r = replay_.recipients(replay_next_++);
  v1::Answer answer;
  v1::Decision& decision = *answer.mutable_decision();
  decision.set_address(address);
  decision.set_outcome(static_cast<v1::Outcome>(r.decided()));
  decision.set_mailbox(r.mailbox_name());
  decision.set_reserved_bytes(r.reserved_bytes());
  Send(std::move(answer));
}

}  // namespace restante::mail
