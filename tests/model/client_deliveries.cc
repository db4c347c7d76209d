// Deliveries of a client: several at once, each event a step of its own, in every
// order, with every way to end them.
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/mail/transaction_id.h"
#include "tests/model/client.h"
#include "tests/model/describe.h"

namespace restante::model {
namespace {

constexpr size_t kMostAtOnce = 6;
constexpr size_t kPast = 30;
constexpr size_t kAnswered = 5;
constexpr int64_t kHour = int64_t{3600} * 1'000'000;
constexpr int64_t kKeptForUs = 23 * kHour;
// Two lifetimes, an hour for the transaction, and what restarts lose of store time.
constexpr int64_t kForgottenAfterUs = 50 * kHour;

}  // namespace

// --- what is sent --------------------------------------------------------------------

std::string Client::RandomRecipient() {
  const std::string domain = RandomDomain();
  switch (dice_.Below(16)) {
    case 0:
      return absl::StrCat("nobody@", domain);  // Or the catch-all.
    case 1:
      return "else@nowhere.test";
    case 2:
      return absl::StrCat("postmaster@", domain);
    case 3:
      return absl::StrCat(absl::AsciiStrToUpper(RandomMailbox().ToString()));
    case 4:
      return absl::StrCat(RandomMailbox().local, "+detail@", domain);
    case 5:
      return dice_.OneIn(4) ? "no address" : RandomAlias().ToString();
    case 6:
      return RandomAlias().ToString();
    default:
      return RandomMailbox().ToString();
  }
}

Letter Client::NewLetter() {
  Letter letter;
  letter.request_id = NewRequestId();
  letter.mode = dice_.OneIn(2) ? v1::Begin::ALL_OR_NONE : v1::Begin::PER_RECIPIENT;
  letter.sender = dice_.OneIn(8) ? "" : absl::StrCat("sender", dice_.Below(3), "@example.net");
  letter.client = absl::StrCat("192.0.2.", number_);
  letter.text = RandomText();
  if (dice_.OneIn(2)) letter.digest = absl::StrCat(NewRequestId(), NewRequestId());
  switch (dice_.Below(8)) {
    case 0:
    case 1:
      break;  // Undeclared.
    case 2:
      letter.declared = letter.text.size() / 2;  // It outgrows that.
      break;
    case 3:
      letter.declared = letter.text.size() * 2;
      break;
    case 4:
      if (dice_.OneIn(10)) letter.declared = dice_.OneIn(2) ? UINT64_MAX : 100'000'000;
      break;
    default:
      letter.declared = letter.text.size();
  }
  for (uint64_t i = dice_.OneIn(3) ? 1 + dice_.Below(8) : 1; i > 0; --i)
    letter.recipients.push_back(RandomRecipient());
  letter.ignore_quota = dice_.OneIn(16);
  if (dice_.OneIn(4)) letter.dsn = 1 + static_cast<uint32_t>(dice_.Below(12));
  return letter;
}

// --- one step ------------------------------------------------------------------------

void Client::Deliver() {
  if (deliveries_.size() < kMostAtOnce && (deliveries_.empty() || dice_.OneIn(8))) return BeginDelivery();
  Delivery& delivery = deliveries_[dice_.Below(deliveries_.size())];
  const Letter& letter = delivery.letter;
  exempt_ = delivery.exempt;
  const size_t recipients = letter.recipients.size();

  if (dice_.OneIn(60)) return Tell(delivery, "Abort", Letter::Abort());
  if (dice_.OneIn(60)) {
    return HangUpOn(delivery, std::nullopt);
  }
  if (dice_.OneIn(100)) {
    switch (dice_.Below(6)) {
      case 0:
        return Tell(delivery, "Begin again", letter.Begin());
      case 1:
        return Tell(delivery, "Data out of order", Letter::Data());
      case 2:
        return Tell(delivery, "Commit out of order", letter.Commit());
      case 3:
        return Tell(delivery, "an empty event", v1::Event());
      default:
        v1::Event chunk;
        chunk.set_chunk(std::string(delivery.with[kEmbedded]->credit() - delivery.sent + 1, 'x'));
        return Tell(delivery, "more than the credit", chunk);
    }
  }
  if (delivery.next < recipients) {
    exempt_ |= letter.ignore_quota ||
               absl::AsciiStrToLower(letter.recipients[delivery.next]).rfind("postmaster", 0) == 0;
    delivery.exempt = exempt_;
    Tell(delivery, absl::StrCat("Recipient ", letter.recipients[delivery.next]),
         letter.Recipient(delivery.next));
    ++delivery.next;
    return;
  }
  if (delivery.next == recipients) {
    ++delivery.next;
    return Tell(delivery, "Data", Letter::Data());
  }
  if (delivery.sent < letter.text.size()) {
    const uint64_t credit = delivery.with[kEmbedded]->credit() - delivery.sent;
    uint64_t length = dice_.OneIn(3) ? 1 + dice_.Below(2'000) : 200'000;
    length = std::min<uint64_t>({length, credit, letter.text.size() - delivery.sent});
    delivery.sent += length;
    return Tell(delivery, absl::StrCat("a chunk of ", length, " bytes"),
                letter.Chunk(delivery.sent - length, length));
  }
  v1::Event commit = letter.Commit();
  if (dice_.OneIn(40)) commit.mutable_commit()->set_size(letter.text.size() + 1);
  if (dice_.OneIn(40)) commit.mutable_commit()->set_crc32c(commit.commit().crc32c() + 1);
  if (dice_.OneIn(20)) return CommitAndSettle(delivery);
  if (dice_.OneIn(20)) return HangUpOn(delivery, commit);
  Tell(delivery, "Commit", commit);
}

// Right behind `event`, if there is one: whether it is answered is chance, but
// what is done about it is not.
void Client::HangUpOn(Delivery& delivery, const std::optional<v1::Event>& event) {
  Both("hanging up", [&](World& world) {
    Conversation& with = *delivery.with[world.which()];
    if (event) with.Tell(*event);
    with.HangUp();
    with.Answers();
    return with.over() ? "over" : "not over";
  });
}

void Client::BeginDelivery() {
  Delivery delivery;
  if (!past_.empty() && dice_.OneIn(6)) {
    if (!answered_.empty() && dice_.OneIn(2)) {
      // The answer was lost behind the store.
      delivery.letter = answered_[dice_.Below(answered_.size())];
      delivery.letter.request_id = NewRequestId();
    } else {
      delivery.letter = past_[dice_.Below(past_.size())];
    }
    if (!ReceiptIsCertain(delivery.letter.request_id)) return BeginDelivery();
    // Not quite the same.
    if (dice_.OneIn(8)) delivery.letter.recipients.push_back(RandomRecipient());
    if (dice_.OneIn(8)) delivery.letter.sender += "x";
    if (dice_.OneIn(8)) delivery.letter.text = RandomText();
  } else {
    delivery.letter = NewLetter();
    if (!deliveries_.empty() && dice_.OneIn(20)) {
      delivery.letter.request_id = deliveries_[dice_.Below(deliveries_.size())].letter.request_id;
    }
    if (!ReceiptIsCertain(delivery.letter.request_id)) return BeginDelivery();
  }
  for (const Which which : {kEmbedded, kMemory}) {
    delivery.with[which] = Conversation::Begin(worlds_[which].deliveries(), caller_);
  }
  deliveries_.push_back(std::move(delivery));
  Delivery& begun = deliveries_.back();
  if (dice_.OneIn(50)) return HangUpOn(begun, begun.letter.Begin());
  Tell(begun, absl::StrCat("Begin of ", begun.letter.text.size(), " bytes"), begun.letter.Begin());
}

void Client::Tell(Delivery& delivery, const std::string& what, const v1::Event& event) {
  Both(what, [&](World& world) { return delivery.with[world.which()]->Ask(event); });
  const Conversation& heard = *delivery.with[kEmbedded];
  if (event.has_recipient() || event.has_data() || event.has_commit() || heard.over()) {
    judge_->Saw(v1::Outcome_Name(heard.outcome()));
  }
  for (const v1::Receipt& receipt : heard.receipts().receipts()) {
    if (event.has_commit() && !receipt.first_transaction_id().empty()) judge_->Saw("a retry suppressed");
  }
  if (event.has_data() && (heard.lost() || heard.outcome() == v1::OUTCOME_MAILBOX_FULL ||
                           heard.outcome() == v1::OUTCOME_DOMAIN_FULL)) {
    judge_->Saw("a silent reservation taken by others");
  }
}

void Client::CommitAndSettle(Delivery& delivery) {
  const v1::Event commit = delivery.letter.Commit();
  bool committed = false;
  Both("Commit, and GetReceipt before it is answered", [&](World& world) {
    Conversation& with = *delivery.with[world.which()];
    const auto settle = [&] {
      return embedded::Await<absl::StatusOr<v1::GetReceiptResponse>>([&](auto done) {
        world.deliveries().Settle(caller_, delivery.letter.request_id, {}, std::move(done));
      });
    };
    // Either may be first; both must be told the same. Memory follows.
    if (world.which() == kMemory && !committed) {
      const auto settled = settle();
      return absl::StrCat(Describe(settled), " and ", with.Ask(commit));
    }
    with.Tell(commit);
    const auto settled = settle();
    committed = settled.ok() && settled->committed();
    return absl::StrCat(Describe(settled), " and ", with.Answers());
  });
}

void Client::DropEnded() {
  for (auto it = deliveries_.begin(); it != deliveries_.end();) {
    if (!it->with[kEmbedded]->over()) {
      ++it;
      continue;
    }
    if (!it->letter.digest.empty() && it->with[kEmbedded]->receipts().committed()) {
      answered_.push_back(it->letter);
      if (answered_.size() > kAnswered) answered_.pop_front();
    }
    past_.push_back(std::move(it->letter));
    it = deliveries_.erase(it);
  }
  while (past_.size() > kPast) past_.pop_front();
}

void Client::ForgetOldIds() {
  const int64_t before = clock_->MonotonicMicros() - 3 * kForgottenAfterUs;
  std::erase_if(uses_, [&](const auto& id) { return id.second.last_us < before; });
}

// --- without a transaction -----------------------------------------------------------

// Between one and two lifetimes an engine may keep a receipt, and need not.
bool Client::ReceiptIsCertain(const std::string& request_id) {
  const int64_t now = clock_->MonotonicMicros();
  // Receipt or tombstone were made at one of the uses, or up to an hour later.
  Uses& uses = uses_.try_emplace(request_id, Uses{now, now}).first->second;
  if (now - uses.last_us > kForgottenAfterUs) {
    judge_->Saw("an expired request id used again");
    uses.first_us = now;
  }
  if (now - uses.first_us > kKeptForUs) return false;
  uses.last_us = now;
  return true;
}

void Client::Settle() {
  std::string id = NewRequestId();
  if (!past_.empty() && dice_.OneIn(2)) id = past_[dice_.Below(past_.size())].request_id;
  if (!deliveries_.empty() && dice_.OneIn(3))
    id = deliveries_[dice_.Below(deliveries_.size())].letter.request_id;
  if (!ReceiptIsCertain(id)) return;
  Both("GetReceipt", [&](World& world) {
    return Describe(embedded::Await<absl::StatusOr<v1::GetReceiptResponse>>(
        [&](auto done) { world.deliveries().Settle(caller_, id, {}, std::move(done)); }));
  });
}

void Client::HandOver() {
  if (past_.empty()) return;
  const auto& of = answered_.empty() || dice_.OneIn(4) ? past_ : answered_;
  const std::string& request_id = of[dice_.Below(of.size())].request_id;
  if (!ReceiptIsCertain(request_id)) return;
  Both("HandedOver", [&](World& world) {
    world.deliveries().HandedOver(mail::MakeTransactionId(caller_, request_id).ToString());
    return "told";
  });
}

void Client::CheckRecipient() {
  const std::string address = RandomRecipient();
  const std::string sender = absl::StrCat("sender", dice_.Below(3), "@example.net");
  std::optional<uint64_t> size;
  if (!dice_.OneIn(3)) size = dice_.Below(dice_.OneIn(5) ? 200'000 : 5'000);
  Both(absl::StrCat("CheckRecipient ", address), [&](World& world) {
    return Describe(embedded::Await<v1::Decision>(
        [&](auto done) { world.deliveries().Check(address, sender, size, std::move(done)); }));
  });
}

}  // namespace restante::model
