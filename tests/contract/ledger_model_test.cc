// The ledger against a model that keeps no sums: every question is answered by
// adding up all reservations anew. Random operations, the same answers.
// RESTANTE_SEED repeats a run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/numeric/int128.h"
#include "server/base/fake_clock.h"
#include "server/engine/ledger.h"
#include "server/mail/quota.h"
#include "tests/contract/describe.h"

namespace restante::engine {
namespace {

using absl::uint128;

uint64_t Clip(uint128 v) { return static_cast<uint64_t>(std::min(v, uint128(UINT64_MAX))); }

enum class Hardness { kLost, kSoft, kFirm };

struct ModelHold {
  uint64_t bytes = 0;
  bool exempt = false;
  Hardness hardness = Hardness::kLost;
  int64_t made_us = 0;
  bool held() const { return hardness != Hardness::kLost; }
};
struct ModelTransaction {
  bool committing = false;
  ModelHold disk;
  std::map<uint64_t, ModelHold> holds;
};

// Reservations are named by transaction and mailbox.
using Name = std::pair<uint64_t, uint64_t>;

struct Model {
  QuotaRules rules;
  const Clock* clock = nullptr;
  std::map<uint64_t, stored::MailboxHead> mailboxes;
  std::map<uint64_t, stored::DomainHead> domains;
  std::map<uint64_t, ModelTransaction> transactions;
  uint64_t disk_limit = quota::kUnlimited, disk_used = 0;
  bool disk_full = false;

  bool Expired(const ModelHold& hold) const {
    return clock->MonotonicMicros() - hold.made_us >= rules.soft_after_us;
  }
  ModelTransaction* Open(uint64_t tx) {
    const auto it = transactions.find(tx);
    return it == transactions.end() || it->second.committing ? nullptr : &it->second;
  }
  bool Exists(uint64_t mailbox) const {
    const auto it = mailboxes.find(mailbox);
    return it != mailboxes.end() && it->second.state() != stored::MailboxHead::DELETED;
  }
  uint64_t DomainOf(uint64_t mailbox) const { return mailboxes.at(mailbox).domain(); }

  // --- sums, each time from the beginning --------------------------------------

  template <typename In>
  void Add(const std::vector<Name>& without, In in, uint128* bytes, uint64_t* messages) const {
    *bytes = 0;
    *messages = 0;
    for (const auto& [tx, transaction] : transactions) {
      for (const auto& [mailbox, hold] : transaction.holds) {
        if (!hold.held() || !in(mailbox)) continue;
        if (std::count(without.begin(), without.end(), Name(tx, mailbox))) continue;
        *bytes += hold.bytes;
        ++*messages;
      }
    }
  }
  quota::Scope Bytes(uint64_t mailbox, const std::vector<Name>& without, uint64_t grace) const {
    const stored::MailboxHead& head = mailboxes.at(mailbox);
    uint128 bytes;
    uint64_t messages;
    Add(
        without, [&](uint64_t m) { return m == mailbox; }, &bytes, &messages);
    return {.limit = quota::Effective(head.max_bytes(), DefaultOf(head).default_bytes(), rules.default_bytes),
            .used = head.used_bytes(),
            .reserved = Clip(bytes),
            .grace = grace};
  }
  quota::Scope Messages(uint64_t mailbox, const std::vector<Name>& without) const {
    const stored::MailboxHead& head = mailboxes.at(mailbox);
    uint128 bytes;
    uint64_t messages;
    Add(
        without, [&](uint64_t m) { return m == mailbox; }, &bytes, &messages);
    return {.counts_messages = true,
            .limit = quota::Effective(head.max_messages(), DefaultOf(head).default_messages(),
                                      rules.default_messages),
            .used = head.used_messages(),
            .reserved = messages};
  }
  quota::Scope Pool(uint64_t domain, const std::vector<Name>& without, uint64_t grace) const {
    uint128 bytes, used = 0;
    uint64_t messages;
    for (const auto& [number, head] : mailboxes) used += head.domain() == domain ? head.used_bytes() : 0;
    Add(
        without, [&](uint64_t m) { return DomainOf(m) == domain; }, &bytes, &messages);
    const auto it = domains.find(domain);
    const bool bounded = it != domains.end() && it->second.max_bytes().kind() == stored::Limit::VALUE;
    return {
        .kind = Shortage::Scope::kDomain,
        .limit = bounded ? std::min(it->second.max_bytes().value(), quota::kUnlimited) : quota::kUnlimited,
        .used = Clip(used),
        .reserved = Clip(bytes),
        .grace = grace};
  }
  quota::Scope Disk(const std::vector<uint64_t>& without) const {
    uint64_t reserved = 0;
    for (const auto& [tx, transaction] : transactions) {
      if (transaction.disk.held() && !std::count(without.begin(), without.end(), tx)) {
        reserved += transaction.disk.bytes;
      }
    }
    return {.kind = Shortage::Scope::kDisk, .limit = disk_limit, .used = disk_used, .reserved = reserved};
  }
  stored::DomainHead DefaultOf(const stored::MailboxHead& head) const {
    const auto it = domains.find(head.domain());
    return it == domains.end() ? stored::DomainHead() : it->second;
  }

  // --- who gets room -------------------------------------------------------------

  // Soft and idle ones of others that `in` allows, oldest first.
  template <typename In>
  std::vector<Name> Takeable(uint64_t self, bool need_bytes, In in) const {
    std::vector<std::pair<int64_t, Name>> found;
    for (const auto& [tx, transaction] : transactions) {
      for (const auto& [mailbox, hold] : transaction.holds) {
        if (hold.hardness != Hardness::kSoft || tx == self || !Expired(hold) || !in(mailbox)) continue;
        if (need_bytes && hold.bytes == 0) continue;
        found.emplace_back(hold.made_us, Name(tx, mailbox));
      }
    }
    std::sort(found.begin(), found.end());
    std::vector<Name> names;
    for (const auto& [made, name] : found) names.push_back(name);
    return names;
  }

  struct Ways {
    std::optional<Shortage> shortage;
    bool too_many = false;
    uint64_t room = 0;
    std::vector<Name> taken;
  };
  Ways Ask(uint64_t self, uint64_t mailbox, uint64_t bytes, bool grows, bool regains) const {
    Ways ways;
    const uint64_t grace = grows ? std::min(rules.grace_bytes, quota::kUnlimited) : 0;
    const std::vector<Name> own = {Name(self, mailbox)};
    std::vector<Name> without = own;
    // True if it fits now, taking what it must.
    auto measure = [&](bool is_bytes, uint64_t needed, bool whole_domain, auto scope) {
      if (!quota::Lacks(scope(without), needed)) return true;
      ways.shortage = quota::Lacks(scope(own), needed);
      if (ways.shortage->full_without_reservations) return false;
      for (const Name& name : Takeable(self, is_bytes, [&](uint64_t m) {
             return whole_domain ? DomainOf(m) == DomainOf(mailbox) : m == mailbox;
           })) {
        if (std::count(without.begin(), without.end(), name)) continue;
        without.push_back(name);
        ways.taken.push_back(name);
        if (!quota::Lacks(scope(without), needed)) {
          ways.shortage.reset();
          return true;
        }
      }
      return false;
    };
    using Without = const std::vector<Name>&;
    if (!grows && !regains && !measure(false, 1, false, [&](Without w) {
          quota::Scope scope = Messages(mailbox, w);
          scope.limit = rules.deliveries_per_mailbox;
          scope.used = 0;
          return scope;
        })) {
      ways.too_many = true;
      return ways;
    }
    if (!measure(true, bytes, false, [&](Without w) { return Bytes(mailbox, w, grace); })) return ways;
    if (!grows && !measure(false, 1, false, [&](Without w) { return Messages(mailbox, w); })) return ways;
    if (!measure(true, bytes, true, [&](Without w) { return Pool(DomainOf(mailbox), w, grace); }))
      return ways;
    ways.room = std::min(quota::Room(Bytes(mailbox, without, grace)),
                         quota::Room(Pool(DomainOf(mailbox), without, grace)));
    return ways;
  }
  void Take(const Ways& ways) {
    for (const auto& [tx, mailbox] : ways.taken) transactions[tx].holds[mailbox].hardness = Hardness::kLost;
  }

  std::optional<Shortage> AskDisk(uint64_t self, uint64_t needed) {
    std::vector<uint64_t> without = {self};
    std::optional<Shortage> shortage = quota::Lacks(Disk(without), needed);
    if (disk_full) {
      return Shortage{.scope = Shortage::Scope::kDisk,
                      .limit = disk_limit,
                      .used = disk_used,
                      .reserved = Disk(without).reserved,
                      .needed = needed,
                      .full_without_reservations = true};
    }
    if (!shortage || shortage->full_without_reservations) return shortage;
    std::vector<std::pair<int64_t, uint64_t>> idle;
    for (const auto& [tx, t] : transactions) {
      if (t.disk.hardness == Hardness::kSoft && tx != self && Expired(t.disk) && t.disk.bytes > 0) {
        idle.emplace_back(t.disk.made_us, tx);
      }
    }
    std::sort(idle.begin(), idle.end());
    for (const auto& [made, tx] : idle) {
      without.push_back(tx);
      if (!quota::Lacks(Disk(without), needed)) {
        for (size_t i = 1; i < without.size(); ++i) transactions[without[i]].disk.hardness = Hardness::kLost;
        return std::nullopt;
      }
    }
    return shortage;
  }

  // --- the operations --------------------------------------------------------------

  void PutMailbox(uint64_t number, const stored::MailboxHead& head) {
    mailboxes[number] = head;
    if (head.state() == stored::MailboxHead::DELETED) LoseAllOf(number);
  }
  void EraseMailbox(uint64_t number) {
    LoseAllOf(number);
    mailboxes.erase(number);
  }
  void LoseAllOf(uint64_t number) {
    for (auto& [tx, t] : transactions) {
      if (t.holds.contains(number)) t.holds[number].hardness = Hardness::kLost;
    }
  }
  void SetDisk(uint64_t limit, uint64_t used) {
    disk_limit = limit;
    disk_used = used;
    if (used >= limit) disk_full = true;
    if (used < limit && uint128(used) * 100 <= uint128(limit) * 99) disk_full = false;
  }
  std::string Open(uint64_t tx, uint64_t bytes) {
    if (transactions.contains(tx)) return "in use";
    if (const auto shortage = AskDisk(tx, bytes)) return Describe(*shortage);
    transactions[tx].disk = {
        .bytes = bytes, .hardness = Hardness::kSoft, .made_us = clock->MonotonicMicros()};
    return "opened";
  }
  std::string Reserve(uint64_t tx, uint64_t mailbox, const Demand& demand, bool only_check) {
    ModelTransaction* const t = Open(tx);
    if (t == nullptr && !only_check) return "FAILED_PRECONDITION";
    if (!Exists(mailbox)) return "NOT_FOUND";
    uint64_t held = 0;
    Hardness hardness = Hardness::kSoft;
    if (!only_check && t->holds.contains(mailbox) && t->holds[mailbox].hardness != Hardness::kLost) {
      held = t->holds[mailbox].bytes;
      hardness = t->holds[mailbox].hardness;
    }
    uint64_t bytes = std::max(demand.bytes, held);
    if (!demand.exempt) {
      const uint64_t least = std::max(std::min(demand.at_least, demand.bytes), held);
      const Ways ways = Ask(tx, mailbox, least, false, false);
      if (ways.too_many) return Describe(TooManyDeliveries{rules.deliveries_per_mailbox});
      if (ways.shortage) return Describe(*ways.shortage);
      bytes = std::min(bytes, ways.room);
      if (!only_check) Take(ways);
    }
    if (!only_check) {
      t->holds[mailbox] = {
          .bytes = bytes, .exempt = demand.exempt, .hardness = hardness, .made_us = clock->MonotonicMicros()};
    }
    return Describe(Granted{bytes});
  }
  std::string Confirm(uint64_t tx) {
    ModelTransaction* const t = Open(tx);
    if (t == nullptr) return "FAILED_PRECONDITION";
    Confirmed result;
    if (t->disk.hardness == Hardness::kLost || (t->disk.hardness == Hardness::kSoft && disk_full)) {
      result.disk = AskDisk(tx, t->disk.bytes);
      if (result.disk) {
        t->disk.hardness = Hardness::kLost;
        t->holds.clear();
        return Describe(result);
      }
    }
    t->disk.hardness = Hardness::kFirm;
    const std::map<uint64_t, ModelHold> asked = t->holds;
    for (const auto& [mailbox, before] : asked) {
      if (!before.held()) {
        if (!Exists(mailbox)) {
          result.lost.push_back({mailbox, {.scope = Shortage::Scope::kMailbox, .needed = before.bytes}});
          t->holds.erase(mailbox);
          continue;
        }
        if (!before.exempt) {
          const Ways ways = Ask(tx, mailbox, before.bytes, false, true);
          if (ways.shortage) {
            result.lost.push_back({mailbox, *ways.shortage});
            t->holds.erase(mailbox);
            continue;
          }
          Take(ways);
        }
      }
      t->holds[mailbox].hardness = Hardness::kFirm;
    }
    return Describe(result);
  }
  std::string Extend(uint64_t tx, uint64_t bytes) {
    ModelTransaction* const t = Open(tx);
    if (t == nullptr) return "FAILED_PRECONDITION";
    Extended result;
    if (!t->disk.held() || t->disk.bytes < bytes) {
      result.disk = AskDisk(tx, std::max(bytes, t->disk.bytes));
      if (result.disk) return Describe(result);
      t->disk.bytes = std::max(bytes, t->disk.bytes);
      if (!t->disk.held()) {
        t->disk.hardness = Hardness::kSoft;
        t->disk.made_us = clock->MonotonicMicros();
      }
    }
    for (auto& [mailbox, hold] : t->holds) {
      if (!hold.held() || hold.bytes >= bytes) continue;
      if (!hold.exempt) {
        const Ways ways = Ask(tx, mailbox, bytes, true, false);
        if (ways.shortage) {
          result.lost.push_back({mailbox, *ways.shortage});
          continue;
        }
        Take(ways);
      }
      hold.bytes = bytes;
    }
    return Describe(result);
  }
  void Release(uint64_t tx, uint64_t mailbox) {
    if (ModelTransaction* const t = Open(tx)) t->holds.erase(mailbox);
  }
  void Close(uint64_t tx) {
    if (Open(tx) != nullptr) transactions.erase(tx);
  }
  std::string StartCommit(uint64_t tx, uint64_t size, const std::vector<uint64_t>& named) {
    ModelTransaction* const t = Open(tx);
    auto holds = [&](const ModelHold& h) { return h.hardness == Hardness::kFirm && h.bytes >= size; };
    if (t == nullptr || !holds(t->disk)) return "FAILED_PRECONDITION";
    for (uint64_t mailbox : named) {
      if (!t->holds.contains(mailbox) || !holds(t->holds[mailbox])) return "FAILED_PRECONDITION";
    }
    t->holds.clear();
    t->committing = true;
    return "ok";
  }
  void EndCommit(uint64_t tx) {
    if (transactions.contains(tx) && transactions[tx].committing) transactions.erase(tx);
  }
};

class Comparison {
 public:
  Comparison(uint64_t seed, bool hostile) : random_(seed), hostile_(hostile) {
    model_.rules.soft_after_us = 40;
    model_.rules.grace_bytes = 5;
    model_.rules.deliveries_per_mailbox = 3;
    model_.rules.default_bytes = ValueOf(60);
    model_.clock = &clock_;
    ledger_ = std::make_unique<Ledger>(model_.rules, &clock_);
  }

  // One random operation on both; says what it was.
  std::string Step() {
    clock_.Advance(1 + (Chance(10) ? Upto(60) : 0));
    const uint64_t tx = 1 + Upto(12);
    const uint64_t mailbox = 1 + Upto(4);
    const uint64_t bytes = Amount(25);
    switch (Upto(20)) {
      case 0: {
        stored::MailboxHead head;
        head.set_domain(100 + Upto(2));
        *head.mutable_max_bytes() = Bound(80);
        *head.mutable_max_messages() = Bound(6);
        head.set_used_bytes(Amount(30));
        head.set_used_messages(Upto(3));
        if (Chance(20)) head.set_state(stored::MailboxHead::DELETED);
        ledger_->PutMailbox(mailbox, head);
        model_.PutMailbox(mailbox, head);
        return absl::StrCat("put mailbox ", mailbox, " ", head.ShortDebugString());
      }
      case 1: {
        if (!Chance(3)) return "nothing";
        stored::DomainHead head;
        *head.mutable_max_bytes() = Bound(150);
        *head.mutable_default_bytes() = Bound(70);
        const uint64_t domain = 100 + Upto(2);
        ledger_->PutDomain(domain, head);
        model_.domains[domain] = head;
        return absl::StrCat("put domain ", domain, " ", head.ShortDebugString());
      }
      case 2:
        if (Chance(8)) {
          ledger_->EraseMailbox(mailbox);
          model_.EraseMailbox(mailbox);
          return absl::StrCat("erase mailbox ", mailbox);
        }
        if (Chance(8)) {
          ledger_->EraseDomain(100);
          model_.domains.erase(100);
          return "erase domain 100";
        }
        return "nothing";
      case 3: {
        const uint64_t limit = hostile_ && Chance(3) ? Amount(0) : 200 + Upto(200);
        const uint64_t used = Chance(8) ? limit - Upto(4) : Upto(100);
        ledger_->SetDisk(limit, used);
        model_.SetDisk(limit, used);
        return absl::StrCat("disk ", limit, " ", used);
      }
      case 4:
      case 5:
      case 6:
        return Same(absl::StrCat("open ", tx, " ", bytes), Describe(ledger_->Open(Id(tx), bytes)),
                    model_.Open(tx, bytes));
      case 7:
      case 8:
      case 9:
      case 10:
      case 11:
      case 12: {
        const Demand demand{.bytes = bytes, .at_least = Chance(3) ? Upto(10) : bytes, .exempt = Chance(12)};
        const auto taken = ledger_->Reserve(Id(tx), mailbox, demand);
        const std::string what = Same(absl::StrCat("reserve ", tx, " ", mailbox, " ", bytes, "..",
                                                   demand.at_least, demand.exempt ? "!" : ""),
                                      Describe(taken), model_.Reserve(tx, mailbox, demand, false));
        if (taken.ok() && std::holds_alternative<Granted>(*taken) && !demand.exempt) ExpectWithin(mailbox, 0);
        return what;
      }
      case 13: {
        const Demand demand{.bytes = bytes, .at_least = Upto(10), .exempt = Chance(12)};
        // No transaction is number 0: everybody's may be taken.
        return Same(absl::StrCat("check ", mailbox, " ", bytes), Describe(ledger_->Check(mailbox, demand)),
                    model_.Reserve(0, mailbox, demand, true));
      }
      case 14:
      case 15:
        return Same(absl::StrCat("confirm ", tx), Describe(ledger_->Confirm(Id(tx))), model_.Confirm(tx));
      case 16: {
        const uint64_t more = Amount(40);
        return Same(absl::StrCat("extend ", tx, " ", more), Describe(ledger_->Extend(Id(tx), more)),
                    model_.Extend(tx, more));
      }
      case 17:
        ledger_->Release(Id(tx), mailbox);
        model_.Release(tx, mailbox);
        return absl::StrCat("release ", tx, " ", mailbox);
      case 18: {
        std::vector<uint64_t> named;
        for (uint64_t m = 1; m <= 4; ++m) {
          if (Chance(4)) named.push_back(m);
        }
        const uint64_t size = Upto(12);
        return Same(absl::StrCat("commit ", tx, " ", size),
                    Describe(ledger_->StartCommit(Id(tx), size, named)), model_.StartCommit(tx, size, named));
      }
      default:
        if (Chance(2)) {
          ledger_->EndCommit(Id(tx));
          model_.EndCommit(tx);
          return absl::StrCat("end ", tx);
        }
        ledger_->Close(Id(tx));
        model_.Close(tx);
        return absl::StrCat("close ", tx);
    }
  }

  // All figures that the ledger tells.
  void ExpectSame() {
    for (uint64_t mailbox = 1; mailbox <= 4; ++mailbox) {
      uint128 bytes;
      uint64_t messages;
      model_.Add(
          {}, [&](uint64_t m) { return m == mailbox; }, &bytes, &messages);
      EXPECT_EQ(ledger_->ReservedIn(mailbox).bytes, Clip(bytes)) << mailbox;
      EXPECT_EQ(ledger_->ReservedIn(mailbox).messages, messages) << mailbox;
    }
    for (uint64_t domain = 100; domain <= 101; ++domain) {
      const Ledger::DomainSums sums = ledger_->SumsOf(domain);
      const quota::Scope pool = model_.Pool(domain, {}, 0);
      uint64_t mailboxes = 0, used_messages = 0;
      for (const auto& [number, head] : model_.mailboxes) {
        if (head.domain() != domain) continue;
        mailboxes++;
        used_messages += head.used_messages();
      }
      EXPECT_EQ(sums.used_bytes, pool.used) << domain;
      EXPECT_EQ(sums.reserved.bytes, pool.reserved) << domain;
      EXPECT_EQ(sums.used_messages, used_messages) << domain;
      EXPECT_EQ(sums.mailboxes, mailboxes) << domain;
    }
    const Capacity capacity = ledger_->capacity();
    EXPECT_EQ(capacity.reserved, model_.Disk({}).reserved);
    EXPECT_EQ(capacity.full, model_.disk_full);
    EXPECT_EQ(capacity.available, model_.disk_full ? 0 : quota::Room(model_.Disk({})));
    EXPECT_EQ(ledger_->open_transactions(), model_.transactions.size());
  }

  std::string Summary() {
    std::string text;
    for (const auto& [answer, times] : answers_) absl::StrAppend(&text, " ", answer, ":", times);
    return text;
  }
  uint64_t Answers(const std::string& kind) { return answers_[kind]; }

 private:
  uint64_t Upto(uint64_t n) { return random_() % n; }
  bool Chance(uint64_t one_in) { return Upto(one_in) == 0; }
  // Mostly below `small`, sometimes where sums overflow.
  uint64_t Amount(uint64_t small) {
    if (small > 0 && !(hostile_ && Chance(6))) return Upto(small);
    const uint64_t edges[] = {UINT64_MAX, uint64_t{1} << 62, uint64_t{1} << 63, UINT64_MAX / 2};
    return edges[Upto(4)] - Upto(3);
  }
  stored::Limit Bound(uint64_t small) {
    if (Chance(4)) return Unlimited();
    return Chance(4) ? stored::Limit() : ValueOf(Amount(small));
  }
  // Promise 3 itself, without the model's rules.
  void ExpectWithin(uint64_t mailbox, uint64_t grace) {
    for (const quota::Scope& scope : {model_.Bytes(mailbox, {}, grace), model_.Messages(mailbox, {}),
                                      model_.Pool(model_.DomainOf(mailbox), {}, grace)}) {
      EXPECT_LE(uint128(scope.used) + scope.reserved, uint128(scope.limit) + grace);
    }
  }
  std::string Same(const std::string& what, const std::string& ledger, const std::string& model) {
    EXPECT_EQ(ledger, model);
    answers_[model.substr(0, model.find_first_of(" :"))]++;
    if (model.find("lost") != std::string::npos) answers_["lost"]++;
    return absl::StrCat(what, " -> ", model);
  }

  std::mt19937_64 random_;
  const bool hostile_;
  FakeClock clock_;
  Model model_;
  std::unique_ptr<Ledger> ledger_;
  std::map<std::string, uint64_t> answers_;
};

class LedgerModel : public testing::TestWithParam<bool> {};

TEST_P(LedgerModel, AnswersAsAModelThatAddsUpAnew) {
  const char* const given = std::getenv("RESTANTE_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::printf("RESTANTE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  Comparison run(seed, GetParam());
  std::vector<std::string> history;
  for (int step = 0; step < 60'000; ++step) {
    history.push_back(run.Step());
    run.ExpectSame();
    if (HasFailure()) {
      const size_t from = history.size() - std::min<size_t>(history.size(), 40);
      for (size_t i = from; i < history.size(); ++i) std::printf("  %s\n", history[i].c_str());
      FAIL() << "seed " << seed << ", step " << step;
    }
  }
  std::printf("answers:%s\n", run.Summary().c_str());
  // A run in which something never happens proves nothing about it.
  for (const char* kind : {"granted", "mailbox", "domain", "disk", "too", "lost", "ok", "opened", "in"}) {
    EXPECT_GT(run.Answers(kind), 20u) << kind;
  }
}

INSTANTIATE_TEST_SUITE_P(Amounts, LedgerModel, testing::Bool(),
                         [](const auto& amounts) { return amounts.param ? "Hostile" : "Ordinary"; });

}  // namespace
}  // namespace restante::engine
