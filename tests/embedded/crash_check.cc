#include "tests/embedded/crash_check.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/mail/quota.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {

using engine::PartitionId;

namespace {

using Partitions = std::vector<std::pair<uint64_t, stored::Head>>;

// More than any workload sends.
constexpr uint64_t kAmple = uint64_t{1} << 30;

uint64_t NumberOf(absl::string_view text) {
  uint64_t number = 0;
  const size_t colon = text.find(':');
  return colon != text.npos && absl::SimpleAtoi(text.substr(0, colon), &number) ? number : 0;
}

// An act as of a cut, by the clock of the image: what was in flight is known to
// have been done, or not, when the image has shown it.
Act Decided(const Act& act, int64_t cut, int64_t seen_at, bool done) {
  switch (act.At(cut)) {
    case Fate::kYes:
      return {.told = Act::kBefore, .yes = true};
    case Fate::kNo:
      return {.told = Act::kBefore, .yes = false};
    case Fate::kInFlight:
      return {.told = seen_at, .yes = done};
    case Fate::kNotAsked:
      break;
  }
  return {.asked = Act::kNever};
}

bool WasAsked(const Act& act) { return act.asked != Act::kNever; }

}  // namespace

bool Shown::Has(uint64_t mailbox, uint64_t uid) const {
  const auto it = mailboxes.find(mailbox);
  return it != mailboxes.end() && it->second.messages.contains(uid);
}

uint64_t Shown::UidOf(uint64_t mailbox, uint64_t number) const {
  const auto it = mailboxes.find(mailbox);
  if (it == mailboxes.end()) return 0;
  for (const auto& [uid, message] : it->second.messages) {
    if (message.number == number) return uid;
  }
  return 0;
}

CrashCheck::CrashCheck(SimulatedDisk* image, const Options& options, const History& history, int64_t cut)
    : image_(image), options_(options), history_(history), cut_(cut) {}

template <typename... Pieces>
void CrashCheck::Problem(const Pieces&... pieces) {
  problems_.push_back(absl::StrCat(pieces...));
}

void CrashCheck::Must(const absl::Status& status, absl::string_view what) {
  if (!status.ok()) Problem(what, ": ", status.ToString());
}

bool CrashCheck::Run(uint64_t seed) {
  Options options = options_;
  options.files = image_;
  options.create = false;
  const bool promised = history_.created.At(cut_) == Fate::kYes;
  absl::StatusOr<std::unique_ptr<engine::Engine>> engine = embedded::Open(options);
  if (absl::IsNotFound(engine.status()) && !promised) {
    options.create = true;
    engine = embedded::Open(options);
  }
  bool rebuilding = false;
  for (const Act& rebuild : history_.rebuilds) rebuilding |= rebuild.At(cut_) == Fate::kInFlight;
  if (!engine.ok() && rebuilding) {
    // It says what to do.
    if (!absl::StrContains(engine.status().message(), "--rebuild-index")) Problem(engine.status().ToString());
    options.rebuild_index = true;
    engine = embedded::Open(options);
  }
  if (!engine.ok()) {
    Problem("it does not open: ", engine.status().ToString());
    return false;
  }
  recovered_groups_ = (*engine)->Figures().at("recovery_groups");
  shown_ = Look(**engine);
  const auto seen_at = static_cast<int64_t>(image_->operations());
  Compare(**engine, history_, shown_, cut_);
  if (!problems_.empty()) return false;
  Resolve(seen_at);

  NotedStore store(image_, options_, std::move(history_), *std::move(engine));
  GoOn(&store, seed);
  store.Close();
  if (problems_.empty()) {
    Must(seed % 4 == 1 ? store.OpenRebuilding() : store.Open(), "it does not open a second time");
  }
  history_ = store.history();
  if (problems_.empty()) {
    Compare(store.engine(), history_, Look(store.engine()), static_cast<int64_t>(image_->operations()));
    for (std::string& problem : problems_) problem = absl::StrCat("opened a second time: ", problem);
  }
  return problems_.empty();
}

// --- going on -------------------------------------------------------------------------

void CrashCheck::Resolve(int64_t seen_at) {
  History then;
  then.next_number = history_.next_number;
  then.created = Decided(history_.created, cut_, seen_at, true);
  if (!WasAsked(then.created)) then.created = {.told = seen_at, .yes = true};
  for (Made made : history_.partitions) {
    const bool mailbox = made.partition.kind == PartitionId::Kind::kMailbox;
    made.act = Decided(made.act, cut_, seen_at,
                       mailbox ? shown_.mailboxes.contains(made.partition.number)
                               : shown_.domains.contains(made.partition.number));
    if (WasAsked(made.act)) then.partitions.push_back(made);
  }
  for (Sent sent : history_.sent) {
    const Fate fate = sent.At(cut_);
    bool there = false;
    std::map<uint64_t, uint64_t> uids;
    for (const uint64_t mailbox : sent.mailboxes) {
      if (const uint64_t uid = shown_.UidOf(mailbox, sent.number); uid != 0) uids[mailbox] = uid;
      there = !uids.empty();
    }
    if (fate != Fate::kYes) sent.uids = std::move(uids);
    sent.may_be_settled |= sent.settled.At(cut_) == Fate::kInFlight;
    if (fate == Fate::kInFlight || sent.settled.At(cut_) == Fate::kInFlight) undecided_.push_back(sent);
    std::vector<Act> acts;
    for (const Act& act : sent.acts) {
      if (const Act decided = Decided(act, cut_, seen_at, there); WasAsked(decided)) acts.push_back(decided);
    }
    sent.acts = std::move(acts);
    // Whether that was made durable is not seen; it is asked for again.
    sent.settled = Decided(sent.settled, cut_, Act::kNever, false);
    if (!sent.acts.empty() || WasAsked(sent.settled)) then.sent.push_back(std::move(sent));
  }
  for (Expunged expunged : history_.expunged) {
    expunged.act = Decided(expunged.act, cut_, seen_at, !shown_.Has(expunged.mailbox, expunged.uid));
    if (WasAsked(expunged.act)) then.expunged.push_back(expunged);
  }
  for (Setting setting : history_.settings) {
    setting.act = Decided(setting.act, cut_, seen_at, ValueOf(shown_, setting) == setting.value);
    if (WasAsked(setting.act)) then.settings.push_back(setting);
  }
  history_ = std::move(then);
}

void CrashCheck::GoOn(NotedStore* store, uint64_t seed) {
  if (store->mailboxes() == 0) Must(store->MakeMailbox(), "a mailbox cannot be made");
  if (!problems_.empty()) return;
  const size_t mailboxes = store->mailboxes();
  for (size_t i = 0; i < mailboxes; ++i) Must(store->SetLimit(i, kAmple + seed % 7), "a limit cannot be set");
  for (const Sent& message : undecided_) {
    // The ways in which a client finds out.
    const std::string name = absl::StrCat("message ", message.number);
    const uint64_t way = message.mailboxes.empty() ? 0 : (seed + message.number) % 3;
    if (way == 0) {
      const absl::Status settled = store->Settle(message.number);
      if (!absl::IsNotFound(settled)) Must(settled, absl::StrCat(name, " cannot be settled"));
    } else if (way == 1 && !message.handed_over) {
      Must(store->Retry(message.number), absl::StrCat(name, " cannot be sent as another delivery"));
    } else {
      const absl::Status sent = store->SendAgain(message.number);
      if (!message.may_be_settled || !absl::IsAborted(sent))
        Must(sent, absl::StrCat(name, " cannot be sent again"));
    }
  }
  // Some whose answer was lost behind the store.
  for (const Sent& message : store->history().sent) {
    if (message.At(Act::kNever - 1) != Fate::kYes || message.handed_over) continue;
    if ((seed + message.number) % 5 != 0) continue;
    Must(store->Retry(message.number), absl::StrCat("message ", message.number, ", a retry"));
  }
  std::vector<size_t> all;
  for (size_t i = 0; i < mailboxes; ++i) all.push_back(i);
  Must(store->Deliver(all, 100 + seed % 900), "a message to all is refused");
  Must(store->Expunge(seed % mailboxes), "a message is not expunged");
  if (seed % 4 == 0) {
    Must(store->Deliver({0}, options_.own_file_bytes + 10'000), "a large message is refused");
    Must(store->SetFlags(0, static_cast<uint32_t>(seed)), "a message is not flagged");
  }
}

// --- looking ----------------------------------------------------------------------------

Shown CrashCheck::Look(engine::Engine& engine) {
  Shown shown;
  const auto read = [&](PartitionId partition, std::vector<std::string> keys) {
    auto result = Await<absl::StatusOr<engine::ReadResult>>(
        [&](auto done) { engine.Read(partition, std::move(keys), std::move(done)); });
    Must(result.status(), "a partition is not read");
    return result.ok() ? *std::move(result) : engine::ReadResult{};
  };
  const auto list = [&](PartitionId::Kind kind) {
    auto result = Await<absl::StatusOr<Partitions>>(
        [&](auto done) { engine.ListPartitions(kind, 0, 1'000'000, std::move(done)); });
    Must(result.status(), "partitions are not listed");
    return result.ok() ? *std::move(result) : Partitions();
  };
  for (const auto& [number, head] : list(PartitionId::Kind::kDomain)) {
    shown.domains[number] = read(PartitionId::Domain(number), {});
  }
  for (const auto& [number, head] : list(PartitionId::Kind::kMailbox)) {
    Shown::Mailbox& mailbox = shown.mailboxes[number];
    mailbox.head = head.mailbox();
    const auto page = Await<absl::StatusOr<engine::ScanPage>>([&, mailbox_number = number](auto done) {
      engine.Scan(PartitionId::Mailbox(mailbox_number), "m/", "m0", 1'000'000, std::move(done));
    });
    Must(page.status(), "a mailbox is not scanned");
    if (!page.ok()) continue;
    for (const auto& [key, value] : page->items) {
      Shown::Message& message = mailbox.messages[*engine::EntryUid(key)];
      message.entry.ParseFromString(value);
      while (true) {
        const auto part = Await<absl::StatusOr<std::string>>([&](auto done) {
          engine.ReadBody(engine::BodyId{message.entry.body()}, message.text.size(), 1 << 20,
                          std::move(done));
        });
        Must(part.status(), absl::StrCat("mailbox ", number, ", UID ", *engine::EntryUid(key)));
        if (!part.ok() || part->empty()) break;
        message.text += *part;
      }
      message.number = NumberOf(message.text);
    }
    const auto receipts = Await<absl::StatusOr<engine::ScanPage>>([&, mailbox_number = number](auto done) {
      engine.Scan(PartitionId::Mailbox(mailbox_number), engine::kOpenReceiptsFrom, engine::kOpenReceiptsTo,
                  1'000'000, std::move(done));
    });
    Must(receipts.status(), "open receipts are not scanned");
    if (!receipts.ok()) continue;
    for (const auto& [key, value] : receipts->items) {
      if (!mailbox.open_receipts[key].ParseFromString(value)) Problem("open receipt ", key, " is damaged");
    }
  }
  const engine::ReadResult directory = read(PartitionId::Directory(), {kLargeKey});
  const auto large = directory.values.find(kLargeKey);
  if (large != directory.values.end()) shown.in_directory = large->second.size();
  auto events = Await<absl::StatusOr<engine::EventPage>>(
      [&](auto done) { engine.ReadEvents(0, 1'000'000, std::move(done)); });
  Must(events.status(), "events are not read");
  if (events.ok()) shown.events = *std::move(events);
  return shown;
}

uint64_t CrashCheck::ValueOf(const Shown& shown, const Setting& setting) {
  if (setting.mailbox == 0) return shown.in_directory;
  const auto mailbox = shown.mailboxes.find(setting.mailbox);
  if (mailbox == shown.mailboxes.end()) return 0;
  if (setting.uid == 0) return mailbox->second.head.max_bytes().value();
  const auto message = mailbox->second.messages.find(setting.uid);
  return message == mailbox->second.messages.end() ? 0 : message->second.entry.flags();
}

// --- comparing --------------------------------------------------------------------------

void CrashCheck::Compare(engine::Engine& engine, const History& history, const Shown& shown, int64_t cut) {
  std::map<uint64_t, Fate> made;
  for (const Made& one : history.partitions) {
    const bool mailbox = one.partition.kind == PartitionId::Kind::kMailbox;
    const uint64_t number = one.partition.number;
    const bool there = mailbox ? shown.mailboxes.contains(number) : shown.domains.contains(number);
    made[number] = std::max(made[number], one.act.At(cut));
    if (one.act.At(cut) == Fate::kYes && !there) Problem("partition ", number, " is gone");
  }
  uint64_t bytes = 0, messages = 0;
  for (const auto& [number, mailbox] : shown.mailboxes) {
    if (made[number] < Fate::kInFlight) {
      Problem("mailbox ", number, " is there, and nobody made it");
    }
    uint64_t used = 0;
    for (const auto& [uid, message] : mailbox.messages) used += message.entry.size();
    if (mailbox.head.used_bytes() != used || mailbox.head.used_messages() != mailbox.messages.size()) {
      Problem("mailbox ", number, ": used ", mailbox.head.used_bytes(), " bytes, ",
              mailbox.head.used_messages(), " messages; the sum is ", used, ", ", mailbox.messages.size());
    }
    if (!mailbox.messages.empty() && mailbox.messages.rbegin()->first >= mailbox.head.uid_next()) {
      Problem("mailbox ", number, ": the next UID was used");
    }
    bytes += used;
    messages += mailbox.messages.size();
  }
  for (const auto& [number, domain] : shown.domains) {
    if (domain.used_bytes != bytes || domain.used_messages != messages ||
        domain.mailboxes != shown.mailboxes.size()) {
      Problem("domain ", number, ": ", domain.used_bytes, " bytes, ", domain.used_messages, " messages, ",
              domain.mailboxes, " mailboxes; the sums are ", bytes, ", ", messages, ", ",
              shown.mailboxes.size());
    }
  }
  const auto wrong = Await<absl::StatusOr<std::vector<std::string>>>(
      [&](auto done) { engine.VerifyBodies([](uint64_t) {}, std::move(done)); });
  Must(wrong.status(), "verify");
  if (wrong.ok() && !wrong->empty()) Problem("verify: ", absl::StrJoin(*wrong, "; "));
  CompareSent(history, shown, cut);
  CompareSettings(engine, history, shown, cut);
  CompareReceipts(engine, history, shown, cut);
  CompareOpenReceipts(history, shown, cut);
  CompareEvents(shown);
}

// An event is there if, and only if, what it tells of is: what is there has crossed what
// was told, and nothing else.
void CrashCheck::CompareEvents(const Shown& shown) {
  std::map<uint64_t, uint32_t> told;
  uint64_t next = 1;
  for (const engine::stored::Event& event : shown.events.events) {
    if (event.sequence() != next++) Problem("event ", event.sequence(), " comes in the place of ", next - 1);
    if (!event.has_quota()) continue;
    uint32_t& percent = told[event.quota().number()];
    if (event.quota().previous_percent() != percent) {
      Problem("event ", event.sequence(), ": from ", event.quota().previous_percent(), " %, ", percent,
              " % was told");
    }
    percent = event.quota().percent();
  }
  if (next != shown.events.next)
    Problem("event ", next, " is not there, ", shown.events.next, " is the next");
  const auto compare = [&](uint64_t number, uint32_t reached, std::initializer_list<quota::Fill> fills) {
    if (told[number] != reached) {
      Problem("partition ", number, " is at ", reached, " %, ", told[number], " % was told");
    }
    const uint32_t now =
        quota::Threshold(options_.rules.thresholds, options_.rules.threshold_slack, reached, fills);
    if (now != reached) Problem("partition ", number, " is at ", reached, " % and should be at ", now);
  };
  const auto limit = [](const engine::stored::Limit& of) {
    return quota::Effective(quota::Flat(of), quota::kUnlimited, quota::kUnlimited);
  };
  for (const auto& [number, mailbox] : shown.mailboxes) {
    compare(number, mailbox.head.reached_percent(),
            {{mailbox.head.used_bytes(), limit(mailbox.head.max_bytes())},
             {mailbox.head.used_messages(), limit(mailbox.head.max_messages())}});
  }
  for (const auto& [number, domain] : shown.domains) {
    if (!domain.head) continue;
    compare(number, domain.head->domain().reached_percent(),
            {{domain.used_bytes, limit(domain.head->domain().max_bytes())}});
  }
}

void CrashCheck::CompareSent(const History& history, const Shown& shown, int64_t cut) {
  std::map<uint64_t, const Sent*> by_number;
  for (const Sent& sent : history.sent) by_number[sent.number] = &sent;
  for (const auto& [mailbox, there] : shown.mailboxes) {
    std::set<uint64_t> numbers;
    for (const auto& [uid, message] : there.messages) {
      const std::string name = absl::StrCat("mailbox ", mailbox, ", UID ", uid, ", message ", message.number);
      const auto it = by_number.find(message.number);
      if (it == by_number.end()) {
        Problem(name, ": nobody sent that");
        continue;
      }
      const Sent& sent = *it->second;
      if (!numbers.insert(message.number).second) Problem(name, ": is there twice");
      if (message.text != *sent.text || message.entry.size() != sent.text->size()) {
        Problem(name, ": is not what was sent");
      }
      if (message.entry.transaction_id() !=
          absl::string_view(reinterpret_cast<const char*>(sent.id.octets.data()), sent.id.octets.size())) {
        Problem(name, ": has another transaction's id");
      }
      if (std::find(sent.mailboxes.begin(), sent.mailboxes.end(), mailbox) == sent.mailboxes.end()) {
        Problem(name, ": was sent to others");
      }
    }
  }
  std::set<std::pair<uint64_t, uint64_t>> given;
  for (const Sent& sent : history.sent) {
    const Fate fate = sent.At(cut);
    size_t there = 0, missing = 0;
    for (const uint64_t mailbox : sent.mailboxes) {
      const std::string name = absl::StrCat("message ", sent.number, " in mailbox ", mailbox);
      const uint64_t found = shown.UidOf(mailbox, sent.number);
      const auto told = sent.uids.find(mailbox);
      const uint64_t uid = told == sent.uids.end() ? 0 : told->second;
      const Fate expunging = uid == 0 ? Fate::kNotAsked : history.Expunging(mailbox, uid, cut);
      const bool expunged = expunging == Fate::kYes || (expunging == Fate::kInFlight && found == 0);
      if (expunging == Fate::kYes && found == uid) Problem(name, ": was expunged, and is there");
      there += found != 0;
      missing += found == 0 && !expunged;
      if (fate != Fate::kYes) continue;
      if (!expunged && found != uid) Problem(name, ": UID ", uid, " was promised, UID ", found, " is there");
      if (!given.emplace(mailbox, uid).second) Problem(name, ": UID ", uid, " was given twice");
      const auto head = shown.mailboxes.find(mailbox);
      if (head != shown.mailboxes.end() && head->second.head.uid_next() <= uid) {
        Problem(name, ": its UID ", uid, " would be given again");
      }
    }
    if (fate < Fate::kInFlight && there > 0) {
      Problem("message ", sent.number, fate == Fate::kNo ? ": was refused" : ": was not sent yet",
              ", and is there");
    }
    if (there > 0 && missing > 0) {
      Problem("message ", sent.number, ": ", there, " recipients have it, ", missing, " have not");
    }
  }
}

void CrashCheck::CompareSettings(engine::Engine& engine, const History& history, const Shown& shown,
                                 int64_t cut) {
  for (const Setting& setting : history.settings) {
    if (setting.uid != 0 && !shown.Has(setting.mailbox, setting.uid)) continue;
    if (setting.mailbox != 0 && !shown.mailboxes.contains(setting.mailbox)) continue;
    const std::vector<uint64_t> values = history.ValuesOf(setting.mailbox, setting.uid, cut);
    const uint64_t value = ValueOf(shown, setting);
    if (std::find(values.begin(), values.end(), value) == values.end()) {
      Problem("mailbox ", setting.mailbox, ", UID ", setting.uid, ": limit or flags are ", value, ", not ",
              absl::StrJoin(values, " or "));
    }
  }
  for (const auto& [number, mailbox] : shown.mailboxes) {
    if (mailbox.head.max_bytes().kind() != stored::Limit::VALUE) continue;
    const uint64_t limit = mailbox.head.max_bytes().value(), used = mailbox.head.used_bytes();
    const uint64_t room = limit > used ? limit - used : 0;
    const auto granted = [&, mailbox_number = number](uint64_t bytes) {
      const auto result = Await<absl::StatusOr<engine::ReserveResult>>([&](auto done) {
        engine.Check(mailbox_number, {.bytes = bytes, .at_least = bytes}, std::move(done));
      });
      return result.ok() && std::holds_alternative<engine::Granted>(*result);
    };
    if (granted(room + 1) || (room > 0 && !granted(room))) {
      Problem("mailbox ", number, ": its limit of ", limit, " bytes does not hold, ", used, " are used");
    }
  }
}

void CrashCheck::CompareReceipts(engine::Engine& engine, const History& history, const Shown& shown,
                                 int64_t cut) {
  for (const Sent& sent : history.sent) {
    const Fate fate = sent.At(cut);
    const bool settled = sent.settled.At(cut) == Fate::kYes;
    if (fate == Fate::kNotAsked && !settled) continue;
    const std::string name = absl::StrCat("message ", sent.number);
    const auto opened = Await<absl::StatusOr<engine::OpenResult>>(
        [&](auto done) { engine.Open(sent.id, 0, std::move(done)); });
    Must(opened.status(), name);
    if (!opened.ok()) continue;
    const auto* receipt = std::get_if<stored::Receipt>(&*opened);
    if (receipt == nullptr) engine.Close(sent.id);
    const bool committed = receipt != nullptr && receipt->committed();
    if (settled && (receipt == nullptr || committed))
      Problem(name, ": was settled, and its id is free again");
    if (fate == Fate::kYes && !committed) Problem(name, ": its receipt is gone");
    if (fate == Fate::kNo && committed) Problem(name, ": was refused, its receipt says stored");
    bool there = false;
    for (const uint64_t mailbox : sent.mailboxes) there |= shown.UidOf(mailbox, sent.number) != 0;
    if (fate == Fate::kInFlight && there && !committed) Problem(name, ": is there without a receipt");
    if (!committed) continue;
    for (const stored::ReceiptRecipient& recipient : receipt->recipients()) {
      const auto uid = sent.uids.find(recipient.mailbox());
      if (fate == Fate::kYes && (uid == sent.uids.end() || uid->second != recipient.uid())) {
        Problem(name, ": its receipt says UID ", recipient.uid());
      }
      const uint64_t found = shown.UidOf(recipient.mailbox(), sent.number);
      if (found != 0 && found != recipient.uid()) Problem(name, ": its receipt says UID ", recipient.uid());
      if (fate == Fate::kInFlight && found == 0 &&
          history.Expunging(recipient.mailbox(), recipient.uid(), cut) == Fate::kNotAsked) {
        Problem(name, ": its receipt says stored, and it is not there");
      }
    }
  }
}

// A retry may neither be stored again nor be swallowed.
void CrashCheck::CompareOpenReceipts(const History& history, const Shown& shown, int64_t cut) {
  size_t known = 0, there = 0;
  for (const auto& [number, mailbox] : shown.mailboxes) there += mailbox.open_receipts.size();
  for (const Sent& sent : history.sent) {
    const Fate fate = sent.At(cut);
    for (const uint64_t number : sent.mailboxes) {
      const std::string name = absl::StrCat("message ", sent.number, " in mailbox ", number);
      const auto mailbox = shown.mailboxes.find(number);
      if (mailbox == shown.mailboxes.end()) continue;
      const auto found = mailbox->second.open_receipts.find(engine::OpenReceiptKey(sent.RetryKey()));
      if (found == mailbox->second.open_receipts.end()) {
        if (fate == Fate::kYes && !sent.handed_over) Problem(name, ": a retry would be stored again");
        continue;
      }
      ++known;
      if (fate < Fate::kInFlight) Problem(name, ": was not stored, and a retry would be swallowed");
      const auto uid = sent.uids.find(number);
      if (fate == Fate::kYes && (uid == sent.uids.end() || uid->second != found->second.uid())) {
        Problem(name, ": a retry would be answered with UID ", found->second.uid());
      }
      if (fate == Fate::kInFlight && !shown.Has(number, found->second.uid()) &&
          history.Expunging(number, found->second.uid(), cut) == Fate::kNotAsked) {
        Problem(name, ": is not there, and a retry would be swallowed");
      }
    }
  }
  if (known != there) Problem(there - known, " open receipts are of no message that was sent");
}

}  // namespace restante::embedded
