#include "server/mail/transaction.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/mail/deliveries.h"
#include "server/mail/dsn.h"
#include "server/mail/dsn_recipients.h"
#include "server/mail/message_limits.h"
#include "server/mail/names.h"
#include "server/mail/recipient_decision.h"
#include "server/mail/transaction_id.h"

namespace restante::mail {
namespace {

constexpr size_t kRequestIdOctets = 16;

}  // namespace

Transaction::Transaction(Deliveries* deliveries, std::shared_ptr<TransactionSink> sink, uint64_t number,
                         std::string caller, std::string peer, RecipientFilter filter)
    : deliveries_(deliveries),
      sink_(std::move(sink)),
      number_(number),
      caller_(std::move(caller)),
      filter_(std::move(filter)),
      client_(std::move(peer)),
      since_us_(deliveries->clock()->MonotonicMicros()),
      last_event_us_(since_us_) {}

Transaction::~Transaction() {
  ReleaseAll();
  deliveries_->Unregister(this);
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
      if (state_ == State::kOpen) return OnRecipient(event.recipient());
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
  if (const absl::Status checked = dsn::Check(begin); !checked.ok()) {
    return Refuse(v1::OUTCOME_INVALID_EVENT, std::string(checked.message()));
  }
  id_ = MakeTransactionId(caller_, begin.request_id());
  per_recipient_ = begin.mode() == v1::Begin::PER_RECIPIENT;
  sender_ = begin.sender();
  ret_ = begin.ret();
  envid_ = begin.envid();
  detect_retries_ = begin.detect_retries();
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
  if (deliveries_->draining()) return Refuse(v1::OUTCOME_DRAINING, "the store is stopping");
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

void Transaction::OnRecipient(const v1::Recipient& recipient) {
  if (const absl::Status checked = dsn::Check(recipient); !checked.ok()) {
    return Refuse(v1::OUTCOME_INVALID_EVENT, std::string(checked.message()));
  }
  const std::string& address = recipient.address();
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
  if (filter_ && !filter_(address)) {
    refusal.set_outcome(v1::OUTCOME_FOREIGN_DOMAIN);
    return Decide(refusal, 0);
  }
  ResolveRecipient(recipient, Age::kRecent);
}

void Transaction::ResolveRecipient(const v1::Recipient& recipient, Age age) {
  deliveries_->directory()->Resolve(
      recipient.address(), age,
      Resume<absl::StatusOr<Resolution>>([recipient, age](Transaction* t, absl::StatusOr<Resolution> result) {
        if (result.ok() && recipient.ignore_quota()) result->exempt = true;
        t->OnResolved(recipient, age, std::move(result));
      }));
}

void Transaction::OnResolved(const v1::Recipient& recipient, Age age, absl::StatusOr<Resolution> result) {
  const std::string& address = recipient.address();
  const auto refuse = [&](v1::Outcome outcome) {
    v1::Decision refusal;
    refusal.set_address(address);
    refusal.set_outcome(outcome);
    Decide(refusal, 0);
  };
  if (!result.ok()) return refuse(v1::OUTCOME_UNAVAILABLE);
  const DeliveryOptions& options = deliveries_->options();
  const bool may_be_old = age == Age::kRecent && result->recent;
  if (auto decision = DecideWithoutRoom(address, *result, declared_, options.rules)) {
    return may_be_old ? ResolveRecipient(recipient, Age::kNow) : Decide(*decision, 0);
  }

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
  if (!AddDsnRecipient(recipient, same == accepted_.end() ? &accepted.dsn : &same->dsn)) {
    return refuse(v1::OUTCOME_TOO_MANY_RECIPIENTS);
  }
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
          [recipient, may_be_old, resolution, accepted = std::move(accepted)](
              Transaction* t, absl::StatusOr<engine::ReserveResult> reserved) mutable {
            if (!reserved.ok() && absl::IsFailedPrecondition(reserved.status())) {
              return t->RefuseForStatus(reserved.status(), "reserving");
            }
            if (absl::IsNotFound(reserved.status()) && may_be_old) {
              return t->ResolveRecipient(recipient, Age::kNow);
            }
            const v1::Decision decision = DecideByRoom(recipient.address(), *resolution, reserved);
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
  } else {
    NoteRefusal(decision.outcome(), decision.address(), NumbersOf(decision.shortage()));
  }
  decided_.push_back(std::move(noted));
  v1::Answer answer;
  *answer.mutable_decision() = decision;
  Send(std::move(answer));
}

// --- the end ---------------------------------------------------------------------

void Transaction::Refuse(v1::Outcome outcome, std::string detail, const v1::Shortage* shortage) {
  v1::Answer answer;
  v1::Refused& refused = *answer.mutable_refused();
  refused.set_outcome(outcome);
  refused.set_detail(std::move(detail));
  NoteRefusal(outcome, "", refused.detail());
  if (shortage) *refused.mutable_shortage() = *shortage;
  deliveries_->counters().refused++;
  ReleaseAll();
  Send(std::move(answer));
  End();
}

void Transaction::NoteRefusal(v1::Outcome outcome, const std::string& recipient, std::string detail) const {
  deliveries_->refusals().Add({.wall_us = deliveries_->clock()->WallMicros(),
                               .outcome = outcome,
                               .recipient = recipient,
                               .client = client_,
                               .detail = std::move(detail)});
}

std::string Transaction::NumbersOf(const v1::Shortage& shortage) {
  if (shortage.scope() == v1::Shortage::SCOPE_UNSPECIFIED) return "";
  return absl::StrCat("needs ", shortage.needed(), shortage.counts_messages() ? " messages" : " bytes", ", ",
                      shortage.used(), " used and ", shortage.reserved(), " reserved of ", shortage.limit());
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
