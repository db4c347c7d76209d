#include "server/mail/transaction.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/mail/deliveries.h"
#include "server/mail/names.h"
#include "server/mail/recipient_decision.h"
#include "server/mail/transaction_id.h"

namespace restante::mail {
namespace {

constexpr size_t kRequestIdOctets = 16;
constexpr size_t kMaxAddressOctets = 1024;
// Credit is given back in pieces of this size: a quarter of the first window,
// so that a sender with a full pipe never runs dry.
constexpr uint64_t kCreditStep = kInitialCredit / 4;

}  // namespace

Transaction::Transaction(Deliveries* deliveries, std::shared_ptr<TransactionSink> sink, uint64_t number,
                         std::string caller, std::string peer)
    : deliveries_(deliveries),
      sink_(std::move(sink)),
      number_(number),
      caller_(std::move(caller)),
      client_(std::move(peer)),
      since_us_(deliveries->clock()->MonotonicMicros()),
      last_event_us_(since_us_) {}

Transaction::~Transaction() {
  ReleaseAll();
  deliveries_->Unregister(this);
}

template <typename T, typename Fn>
absl::AnyInvocable<void(T)> Transaction::Resume(Fn fn) {
  waiting_ = true;
  return [self = shared_from_this(), fn = std::move(fn)](T result) mutable {
    Transaction* const t = self.get();
    t->sink_->Post([self = std::move(self), fn = std::move(fn), result = std::move(result)]() mutable {
      self->waiting_ = false;
      if (self->state_ == State::kEnded) return;
      fn(self.get(), std::move(result));
      self->Next();
    });
  };
}

void Transaction::Handle(v1::Event event) {
  if (state_ == State::kEnded) return;
  last_event_us_ = deliveries_->clock()->MonotonicMicros();
  if (event.has_commit()) {
    commit_read_ = true;
    overdue_exempt_ = true;
  }
  events_.push_back(std::move(event));
  if (!waiting_) Next();
}

void Transaction::Next() {
  while (!waiting_ && !events_.empty()) {
    v1::Event event = std::move(events_.front());
    events_.pop_front();
    Apply(event);
  }
}

void Transaction::Apply(v1::Event& event) {
  if (event.has_abort()) {
    v1::Answer answer;
    answer.mutable_aborted();
    Send(std::move(answer));
    deliveries_->counters().aborted++;
    return End();
  }
  const bool replaying = state_ == State::kReplaying;
  switch (event.kind_case()) {
    case v1::Event::kBegin:
      if (state_ == State::kNew) return OnBegin(event.begin());
      break;
    case v1::Event::kRecipient:
      if (replaying) return ReplayRecipient(event.recipient().address());
      if (state_ == State::kOpen) return OnRecipient(event.recipient().address());
      break;
    case v1::Event::kData:
      if (state_ == State::kOpen || (replaying && !writer_)) return OnData();
      break;
    case v1::Event::kChunk:
      if (state_ == State::kReady || (replaying && writer_))
        return OnChunk(std::move(*event.mutable_chunk()));
      break;
    case v1::Event::kCommit:
      if (state_ == State::kReady || (replaying && writer_)) return OnCommit(event.commit());
      break;
    default:
      break;
  }
  static constexpr absl::string_view kStates[] = {"before Begin", "before Data", "after Data",
                                                  "in a repetition"};
  static constexpr absl::string_view kEvents[] = {
      "an event of no known kind", "", "Begin", "Recipient", "Data", "a chunk", "Commit"};
  const size_t kind = event.kind_case();
  Refuse(v1::OUTCOME_INVALID_EVENT, absl::StrCat(kEvents[kind < std::size(kEvents) ? kind : 0],
                                                 " is out of order ", kStates[static_cast<int>(state_)]));
}

// --- MAIL ------------------------------------------------------------------------

void Transaction::OnBegin(const v1::Begin& begin) {
  if (begin.request_id().size() != kRequestIdOctets) {
    return Refuse(v1::OUTCOME_INVALID_EVENT,
                  absl::StrCat("request_id has ", begin.request_id().size(), " octets, not 16"));
  }
  if (begin.sender().size() > kMaxAddressOctets) {
    return Refuse(v1::OUTCOME_INVALID_EVENT,
                  absl::StrCat("sender has ", begin.sender().size(), " octets, at most 1024 are taken"));
  }
  if (begin.mode() > v1::Begin::PER_RECIPIENT) {
    return Refuse(v1::OUTCOME_INVALID_EVENT, absl::StrCat("mode ", begin.mode(), " is not known"));
  }
  id_ = MakeTransactionId(caller_, begin.request_id());
  per_recipient_ = begin.mode() == v1::Begin::PER_RECIPIENT;
  sender_ = begin.sender();
  if (begin.has_declared_size() && begin.declared_size() > 0) declared_ = begin.declared_size();
  if (!begin.client().address().empty()) client_ = begin.client().address();

  const DeliveryOptions& options = deliveries_->options();
  if (declared_ && *declared_ > options.max_message) {
    v1::Shortage shortage;
    shortage.set_scope(v1::Shortage::MESSAGE);
    shortage.set_limit(options.max_message);
    shortage.set_needed(*declared_);
    return Refuse(v1::OUTCOME_MESSAGE_TOO_LARGE,
                  absl::StrCat("message: ", *declared_, " bytes declared, at most ", options.max_message),
                  &shortage);
  }
  const engine::Capacity capacity = deliveries_->engine()->GetCapacity();
  if (capacity.read_only) return Refuse(v1::OUTCOME_READ_ONLY, "the store is read-only after a write error");

  const uint64_t counted = declared_.value_or(options.reserve_unknown);
  if (auto reserved = deliveries_->client_bounds().Add(client_, counted)) {
    v1::Shortage shortage;
    shortage.set_scope(v1::Shortage::CLIENT);
    shortage.set_limit(deliveries_->client_bounds().limit());
    shortage.set_reserved(*reserved);
    shortage.set_needed(counted);
    return Refuse(v1::OUTCOME_CLIENT_LIMIT,
                  absl::StrCat("client ", client_, ": needs ", counted, " bytes, ", *reserved, " of ",
                               deliveries_->client_bounds().limit(), " reserved"),
                  &shortage);
  }
  client_counted_ = counted;
  // Without a declared size: the default, or what is left if that is less.
  disk_reserved_ =
      declared_.value_or(std::min(options.reserve_unknown, std::max<uint64_t>(1, capacity.available)));
  deliveries_->Register(shared_from_this());

  waiting_ = true;
  deliveries_->engine()->Open(
      id_, disk_reserved_, [self = shared_from_this()](absl::StatusOr<engine::OpenResult> result) mutable {
        Transaction* const t = self.get();
        t->sink_->Post([self = std::move(self), result = std::move(result)]() mutable {
          self->waiting_ = false;
          self->OnOpened(std::move(result));
          self->Next();
        });
      });
}

void Transaction::OnOpened(absl::StatusOr<engine::OpenResult> result) {
  const bool opened = result.ok() && std::holds_alternative<engine::Opened>(*result);
  if (state_ != State::kNew) {
    // Given up, or overdue, while the engine was asked.
    if (opened) deliveries_->engine()->Close(id_);
    return;
  }
  if (!result.ok()) return RefuseForStatus(result.status(), "opening");
  if (const auto* shortage = std::get_if<engine::Shortage>(&*result)) {
    const v1::Shortage served = ToShortage(*shortage);
    return Refuse(v1::OUTCOME_DISK_FULL,
                  absl::StrCat("disk: needs ", shortage->needed, " bytes, ", shortage->used, " used and ",
                               shortage->reserved, " reserved of ", shortage->limit),
                  &served);
  }
  if (std::holds_alternative<engine::InUse>(*result)) {
    return Refuse(v1::OUTCOME_REQUEST_ID_IN_USE, "the request id belongs to a transaction that is under way");
  }
  if (auto* receipt = std::get_if<stored::Receipt>(&*result)) {
    UncountClient();
    if (!receipt->committed()) {
      return Refuse(v1::OUTCOME_REQUEST_ID_ABORTED, "the request id was declared not committed");
    }
    if (receipt->sender() != sender_ || (receipt->mode() == 1) != per_recipient_) {
      return Refuse(v1::OUTCOME_REQUEST_ID_IN_USE,
                    "the request id was used for a message with another reverse path or mode");
    }
    replay_ = std::move(*receipt);
    state_ = State::kReplaying;
  } else {
    engine_open_ = true;
    state_ = State::kOpen;
  }
  v1::Answer answer;
  answer.mutable_begun()->set_transaction_id(id_.ToString());
  answer.mutable_begun()->set_credit(kInitialCredit);
  Send(std::move(answer));
}

// --- RCPT ------------------------------------------------------------------------

void Transaction::OnRecipient(const std::string& address) {
  v1::Decision refusal;
  refusal.set_address(address);
  if (decided_.size() >= deliveries_->options().max_recipients) {
    // Not noted in decided_, which would grow without bound.
    refusal.set_outcome(v1::OUTCOME_TOO_MANY_RECIPIENTS);
    v1::Answer answer;
    *answer.mutable_decision() = std::move(refusal);
    return Send(std::move(answer));
  }
  if (address.size() > kMaxAddressOctets) {
    refusal.set_address(address.substr(0, kMaxAddressOctets));
    refusal.set_outcome(v1::OUTCOME_INVALID_ADDRESS);
    return Decide(refusal, 0);
  }
  deliveries_->directory()->Resolve(
      address,
      Resume<absl::StatusOr<Resolution>>([address](Transaction* t, absl::StatusOr<Resolution> result) {
        t->OnResolved(address, std::move(result));
      }));
}

void Transaction::OnResolved(const std::string& address, absl::StatusOr<Resolution> result) {
  if (!result.ok()) {
    v1::Decision refusal;
    refusal.set_address(address);
    refusal.set_outcome(v1::OUTCOME_UNAVAILABLE);
    return Decide(refusal, 0);
  }
  const DeliveryOptions& options = deliveries_->options();
  if (auto decision = DecideWithoutRoom(address, *result, declared_, options.rules))
    return Decide(*decision, 0);

  const auto same = std::find_if(accepted_.begin(), accepted_.end(),
                                 [&](const Accepted& a) { return a.mailbox == result->mailbox; });
  const engine::Demand demand =
      DemandFor(*result, declared_, deliveries_->outgrown().Recall(result->mailbox, sender_, declared_),
                options.reserve_unknown);
  Accepted accepted;
  accepted.address = address;
  accepted.mailbox = result->mailbox;
  accepted.exempt = result->exempt;
  accepted.permfail = IsPermfail(result->domain);
  accepted.decided = decided_.size();
  if (same != accepted_.end()) {
    // One copy, charged once: the room is reserved already.
    accepted.repeated = true;
    const uint64_t held = decided_[same->decided].reserved_bytes();
    accepted_.push_back(std::move(accepted));
    return Decide(DecideByRoom(address, *result, engine::ReserveResult(engine::Granted{held})),
                  result->mailbox);
  }
  const uint64_t mailbox = result->mailbox;
  auto resolution = std::make_shared<Resolution>(*std::move(result));
  deliveries_->engine()->Reserve(
      id_, mailbox, demand,
      Resume<absl::StatusOr<engine::ReserveResult>>(
          [address, resolution, accepted = std::move(accepted)](
              Transaction* t, absl::StatusOr<engine::ReserveResult> reserved) mutable {
            if (!reserved.ok() && absl::IsFailedPrecondition(reserved.status())) {
              return t->RefuseForStatus(reserved.status(), "reserving");
            }
            const v1::Decision decision = DecideByRoom(address, *resolution, reserved);
            if (decision.outcome() == v1::OUTCOME_OK) {
              t->accepted_.push_back(std::move(accepted));
            }
            t->Decide(decision, resolution->mailbox);
          }));
}

void Transaction::Decide(const v1::Decision& decision, uint64_t mailbox) {
  stored::ReceiptRecipient noted;
  noted.set_address(decision.address());
  noted.set_decided(decision.outcome());
  noted.set_outcome(decision.outcome());
  noted.set_reserved_bytes(decision.reserved_bytes());
  if (decision.outcome() == v1::OUTCOME_OK) {
    noted.set_mailbox(mailbox);
    noted.set_mailbox_name(decision.mailbox());
  }
  decided_.push_back(std::move(noted));
  v1::Answer answer;
  *answer.mutable_decision() = decision;
  Send(std::move(answer));
}

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
  const int64_t now = deliveries_->clock()->WallMicros();
  for (const Accepted& a : accepted_) {
    if (a.outcome != v1::OUTCOME_OK || a.repeated) continue;
    stored::Entry entry;
    entry.set_arrival_us(now);
    entry.set_exempt(a.exempt);
    entry.mutable_envelope()->set_sender(sender_);
    entry.mutable_envelope()->set_recipient(a.address);
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
  deliveries_->counters().stored++;
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

// --- the end ---------------------------------------------------------------------

void Transaction::Refuse(v1::Outcome outcome, std::string detail, const v1::Shortage* shortage) {
  v1::Answer answer;
  v1::Refused& refused = *answer.mutable_refused();
  refused.set_outcome(outcome);
  refused.set_detail(std::move(detail));
  if (shortage) *refused.mutable_shortage() = *shortage;
  deliveries_->counters().refused++;
  ReleaseAll();
  Send(std::move(answer));
  End();
}

void Transaction::RefuseForStatus(const absl::Status& status, absl::string_view where) {
  const std::string detail = absl::StrCat(where, ": ", status.message());
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
      // Somebody settled this id meanwhile: it is not committed, and will not be.
      return Refuse(v1::OUTCOME_REQUEST_ID_ABORTED, detail);
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDataLoss:
      return Refuse(v1::OUTCOME_WRITE_ERROR, detail);
    case absl::StatusCode::kResourceExhausted:
      return Refuse(v1::OUTCOME_DISK_FULL, detail);
    case absl::StatusCode::kUnknown:
      // Neither "stored" nor "not stored" would be true.
      sink_->OutcomeUnknown(status);
      return End();
    default:
      return Refuse(v1::OUTCOME_UNAVAILABLE, detail);
  }
}

void Transaction::Send(v1::Answer answer) {
  if (abandoned_) return;
  answer.set_transaction(number_);
  sink_->Send(std::move(answer));
}

void Transaction::ReleaseAll() {
  writer_.reset();
  if (engine_open_) deliveries_->engine()->Close(id_);
  engine_open_ = false;
  UncountClient();
}

void Transaction::UncountClient() {
  if (client_counted_ > 0) deliveries_->client_bounds().Remove(client_, client_counted_);
  client_counted_ = 0;
}

void Transaction::End() {
  ReleaseAll();
  state_ = State::kEnded;
  overdue_exempt_ = true;
  events_.clear();
  sink_->Ended(number_);
}

void Transaction::Abandon() {
  if (state_ == State::kEnded || commit_read_) return;
  deliveries_->counters().aborted++;
  abandoned_ = true;
  End();
}

void Transaction::EndIfOverdue(int64_t now_us) {
  if (overdue_exempt_) return;
  const DeliveryOptions& options = deliveries_->options();
  const bool idle = now_us - last_event_us_ > options.idle_us;
  if (!idle && now_us - since_us_ <= options.max_age_us) return;
  sink_->Post([self = shared_from_this(), idle] {
    if (self->overdue_exempt_) return;
    const DeliveryOptions& o = self->deliveries_->options();
    self->Refuse(v1::OUTCOME_TIMED_OUT, idle ? absl::StrCat("no event for ", o.idle_us / 1'000'000, " s")
                                             : absl::StrCat("open for ", o.max_age_us / 1'000'000, " s"));
  });
}

}  // namespace restante::mail
