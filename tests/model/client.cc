#include "tests/model/client.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/quota.h"
#include "tests/mail/read_all.h"
#include "tests/model/describe.h"

namespace restante::model {

using mail::Address;

namespace {

const std::vector<std::string> kMailboxes = {"anna", "bert", "cleo", "postmaster"};
const std::vector<std::string> kAliases = {"info", "anna", "bert"};

}  // namespace

Client::Client(int number, uint64_t seed, Worlds worlds, SharedMailboxes* shared, const FakeClock* clock,
               uint64_t grace_bytes, Judge* judge)
    : number_(number),
      caller_(absl::StrCat("client", number)),
      worlds_(worlds),
      shared_(shared),
      clock_(clock),
      grace_bytes_(grace_bytes),
      judge_(judge),
      dice_(seed * 1'000'003 + static_cast<uint64_t>(number)),
      domains_({absl::StrCat("a", number, ".example"), absl::StrCat("b", number, ".example")}) {}

void Client::Step(bool crowd) {
  static const auto* const operations = new std::vector<std::pair<uint64_t, void (Client::*)()>>{
      {500, &Client::Deliver},      {20, &Client::Settle},        {30, &Client::CheckRecipient},
      {10, &Client::CreateDomain},  {30, &Client::CreateMailbox}, {12, &Client::ChangeDomain},
      {40, &Client::ChangeMailbox}, {20, &Client::ChangeAlias},   {10, &Client::ListNames},
      {60, &Client::Append},        {50, &Client::Expunge},       {20, &Client::ListMessages},
      {60, &Client::ReadMessage},   {15, &Client::Recalculate},   {30, &Client::Copy},
      {20, &Client::Flag},          {20, &Client::HandOver},
  };
  static const uint64_t sum = [] {
    uint64_t weights = 0;
    for (const auto& [weight, run] : *operations) weights += weight;
    return weights;
  }();
  step_ = judge_->Step();
  if (crowd || dice_.OneIn(10)) return shared_->Step(dice_);
  exempt_ = false;
  if (seen_.scopes.size() < 5 && dice_.OneIn(2)) {
    dice_.OneIn(3) ? CreateDomain() : CreateMailbox();
  } else {
    uint64_t choice = dice_.Below(sum);
    auto operation = operations->begin();
    while (choice >= operation->first) choice -= (operation++)->first;
    (this->*operation->second)();
  }
  DropEnded();
  Look now[2];
  Both(absl::StrCat("the figures after ", doing_), [&](World& world) {
    now[world.which()] = LookAt(world);
    return now[world.which()].text;
  });
  CheckBounds(seen_, now[kEmbedded]);
  seen_ = std::move(now[kEmbedded]);
}

void Client::Fail(absl::string_view what) {
  judge_->Fail(absl::StrCat("step ", step_, " (", caller_, "), ", doing_, ": ", what));
}

void Client::Both(std::string what, absl::FunctionRef<std::string(World&)> op) {
  doing_ = std::move(what);
  const std::string embedded = op(*worlds_.embedded);
  const std::string memory = op(*worlds_.memory);
  if (embedded != memory) Fail(absl::StrCat("the answers differ", Difference(embedded, memory)));
}

// --- figures -----------------------------------------------------------------------

Client::Look Client::LookAt(World& world) const {
  Look look;
  for (const std::string& name : domains_) {
    const auto domain = Get(world.provisioning().GetDomain(name));
    absl::StrAppend(&look.text, Describe(domain), "\n");
    if (!domain.ok()) continue;
    const mail::stored::Limit& pool = domain->head.domain().max_bytes();
    look.scopes[name] = {
        .bytes = domain->used_bytes + domain->reserved.bytes,
        .messages = 0,
        .used = domain->used_bytes,
        .max_bytes = pool.kind() == mail::stored::Limit::VALUE ? pool.value() : quota::kUnlimited,
        .max_messages = quota::kUnlimited};
    for (const std::string& local : kMailboxes) {
      const Address address{local, name};
      const auto mailbox = Get(world.provisioning().GetMailbox(address));
      absl::StrAppend(&look.text, Describe(mailbox), "\n");
      if (!mailbox.ok()) continue;
      const mail::stored::MailboxHead& head = mailbox->head.mailbox();
      look.scopes[address.ToString()] = {.bytes = head.used_bytes() + mailbox->reserved.bytes,
                                         .messages = head.used_messages() + mailbox->reserved.messages,
                                         .used = head.used_bytes(),
                                         .max_bytes = mailbox->effective_bytes,
                                         .max_messages = mailbox->effective_messages};
      look.uid_next[address.ToString()] = head.uid_next();
    }
  }
  return look;
}

// Promise 3, at every step.
void Client::CheckBounds(const Look& before, const Look& after) {
  std::map<std::string, Scope> sums;
  for (const auto& [name, scope] : after.scopes) {
    const size_t at = name.find('@');
    if (at == name.npos) continue;
    Scope& sum = sums[name.substr(at + 1)];
    sum.bytes += scope.bytes;
    sum.used += scope.used;
  }
  for (const auto& [name, scope] : after.scopes) {
    const auto was = before.scopes.find(name);
    const Scope old = was == before.scopes.end() ? Scope() : was->second;
    if (!exempt_ && scope.bytes > old.bytes && scope.bytes > scope.max_bytes + grace_bytes_) {
      Fail(absl::StrCat(name, ": ", scope.bytes, " bytes used and reserved of ", scope.max_bytes,
                        ", before: ", old.bytes));
    }
    if (!exempt_ && scope.messages > old.messages && scope.messages > scope.max_messages) {
      Fail(absl::StrCat(name, ": ", scope.messages, " messages used and reserved of ", scope.max_messages,
                        ", before: ", old.messages));
    }
    if (name.find('@') == name.npos && (sums[name].bytes != scope.bytes || sums[name].used != scope.used)) {
      Fail(absl::StrCat(name, ": ", scope.bytes, " bytes, ", scope.used, " of them used; its mailboxes have ",
                        sums[name].bytes, ", ", sums[name].used));
    }
  }
}

// --- between rounds ------------------------------------------------------------------

void Client::Listen() {
  for (Delivery& delivery : deliveries_) {
    Both("listening", [&](World& world) { return delivery.with[world.which()]->Answers(); });
    if (delivery.with[kEmbedded]->over()) judge_->Saw(v1::Outcome_Name(delivery.with[kEmbedded]->outcome()));
  }
  DropEnded();
  ForgetOldIds();
}

void Client::HangUp() {
  for (Delivery& delivery : deliveries_) HangUpOn(delivery, std::nullopt);
  DropEnded();
}

// What is new about thresholds of its own, by name: stores give their numbers in the
// order of all clients' doing.
std::string Client::Events(World& world) {
  uint64_t& heard = heard_[world.which()];
  std::map<std::string, std::string> by_name;
  while (true) {
    const auto page = embedded::Await<absl::StatusOr<engine::EventPage>>(
        [&](auto done) { world.engine().ReadEvents(heard, 1'000, std::move(done)); });
    if (!page.ok()) return page.status().ToString();
    if (page->events.empty()) break;
    for (const engine::stored::Event& event : page->events) {
      heard = event.sequence();
      engine::stored::QuotaEvent quota = event.quota();
      const std::string domain = quota.name().substr(quota.name().rfind('@') + 1);
      if (std::find(domains_.begin(), domains_.end(), domain) == domains_.end()) continue;
      if (quota.domain() && worlds_.pools_told_later) {
        pools_[world.which()][quota.name()] = quota.percent();
        continue;
      }
      judge_->Saw(quota.percent() > quota.previous_percent() ? "a threshold reached" : "a threshold left");
      quota.clear_number();
      absl::StrAppend(&by_name[quota.name()], quota.ShortDebugString(), "\n");
    }
  }
  std::string all;
  for (const auto& [name, lines] : by_name) absl::StrAppend(&all, lines);
  for (const auto& [name, percent] : pools_[world.which()]) {
    if (percent > 0) absl::StrAppend(&all, name, " is at ", percent, " percent\n");
  }
  return all;
}

std::string Client::Everything(World& world) {
  std::string all = absl::StrCat(LookAt(world).text, Events(world));
  for (const std::string& name : domains_) {
    absl::StrAppend(&all, Describe(Get(world.provisioning().ListMailboxes(name, "", 100))), "\n",
                    Describe(Get(world.provisioning().ListAliases(name, "", 100))), "\n");
    for (const std::string& local : kMailboxes) {
      uint64_t after = 0;
      do {
        const auto page =
            Get(world.messages().List({Address{local, name}, std::nullopt}, after, 100, std::nullopt));
        if (!page.ok()) break;
        for (const mail::MessageView& message : page->items) {
          absl::StrAppend(&all, Describe(message), "\n");
          const auto text = Get(
              mail::ReadAll(&world.messages(), {Address{local, name}, message.folder, message.entry.uid()}));
          if (!text.ok() || !IsWhole(*text) || text->size() != message.entry.size())
            absl::StrAppend(&all, "DAMAGED: ", Describe(text), "\n");
        }
        after = page->next;
      } while (after != 0);
    }
  }
  return all;
}

// --- choices -----------------------------------------------------------------------------

Address Client::RandomMailbox() { return {dice_.Pick(kMailboxes), RandomDomain()}; }
Address Client::RandomAlias() { return {dice_.Pick(kAliases), RandomDomain()}; }

// Some of the newest, which may be there.
std::vector<uint64_t> Client::RandomUids(const Address& mailbox) {
  std::vector<uint64_t> uids;
  const auto next = seen_.uid_next.find(mailbox.ToString());
  const uint64_t last = next == seen_.uid_next.end() ? 1 : next->second;
  for (uint64_t i = dice_.OneIn(4) ? 20 : 1 + dice_.Below(3); i > 0; --i) {
    const uint64_t back = dice_.Below(dice_.OneIn(3) ? 30 : 8);
    if (back < last) uids.push_back(last - back);
  }
  return uids;
}

std::string Client::NewRequestId() {
  const uint64_t words[2] = {dice_(), dice_()};
  return std::string(reinterpret_cast<const char*>(words), sizeof(words));
}

std::string Client::RandomText() {
  static const auto* const sizes = new std::vector<size_t>{0, 1, 60, 200, 500, 1'000, 2'000, 5'000};
  size_t size = dice_.Pick(*sizes) + dice_.Below(100);
  if (dice_.OneIn(100)) size = 20'000 + dice_.Below(80'000);
  if (dice_.OneIn(1'000)) size = 300'000 + dice_.Below(300'000);
  // With a file of its own, if it cannot be compressed.
  if (dice_.OneIn(10'000)) size = 4'200'000 + dice_.Below(100'000);
  return MakeText(dice_(), size);
}

}  // namespace restante::model
