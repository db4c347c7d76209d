#include "tests/moving/moving_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/house.h"
#include "server/engine/rados/rados_engine.h"

namespace restante::moving {

using engine::Await;
using engine::BodyId;
using engine::Change;
using engine::EntryKey;
using engine::Id;
using engine::Noise;
using engine::PartitionId;
using engine::ValueOf;
using engine::Verdict;
using engine::View;
namespace stored = engine::stored;

namespace {

constexpr int kManyMessages = 600;

std::string Key(char octet) { return std::string(16, octet); }

}  // namespace

MovingStore::MovingStore(std::unique_ptr<engine::Engine> engine) {
  // Transactions of one are no transactions of another.
  static std::atomic<uint64_t> stores{0};
  next_transaction_ = ++stores * 1'000'000;
  engine_ = std::move(engine);
}

void MovingStore::Furnish() {
  domain = CreateDomain(ValueOf(16'000'000));
  empty_domain = CreateDomain();
  first = CreateMailbox(domain, ValueOf(15'000'000));
  second = CreateMailbox(domain, {}, ValueOf(100));
  large = CreateMailbox(CreateDomain());
  ends = CreateMailbox(domain);
  EXPECT_TRUE(
      Put(PartitionId::Directory(),
          {{"d/example.org", "1"}, {"a/example.org/alice", std::string("a\0b", 3)}, {"c/webhook", "x"}})
          .ok());
  EXPECT_TRUE(Update(PartitionId::Directory(), {}, [](const View& view) -> absl::StatusOr<Verdict> {
                Change change;
                change.head = *view.head;
                change.head.mutable_directory()->set_uid_validity_next(4711);
                return change;
              }).ok());
  for (const std::string& text :
       {std::string("small"), std::string(), Noise(300'000, 1), Noise(5'000'000, 2)}) {
    Deliver(text, {first, second});
  }
  Deliver(Noise(3'000'000, 3), {first});
  EXPECT_TRUE(Copy(EntriesOf(first)[0], second).ok());
  EXPECT_TRUE(Copy(EntriesOf(first)[2], first).ok());
  EXPECT_TRUE(Expunge(first, 2).ok());
  for (int i = 0; i < kManyMessages; ++i) Deliver(absl::StrCat("message ", i), {large});
  Deliver("of a mailbox that ends", {ends});
  EXPECT_TRUE(ChangeMailbox(ends, [](stored::MailboxHead* head) {
                head->set_state(stored::MailboxHead::DELETED);
              }).ok());
  DeliverOnce(1, Key('\1'), "retried", {first, second});
  DeliverOnce(2, Key('\2'), "handed over", {first});
  engine_->HandedOver(Id(2), {first});
  EXPECT_TRUE(Settle(3).ok());
  EXPECT_TRUE(Put(PartitionId::Mailbox(first), {{"w", "warned"}}).ok());
}

void MovingStore::Live() {
  EXPECT_TRUE(Expunge(first, 1).ok());
  EXPECT_TRUE(Expunge(large, 300).ok());
  Deliver(Noise(40'000, 9), {first, second, large});
  // Another flag, another folder.
  EXPECT_TRUE(
      Update(PartitionId::Mailbox(large), {EntryKey(7)}, [](const View& view) -> absl::StatusOr<Verdict> {
        stored::Entry entry;
        entry.ParseFromString(view.values.at(EntryKey(7)));
        entry.set_flags(3);
        entry.add_keywords("$Seen");
        Change change;
        change.head = *view.head;
        change.head.mutable_mailbox()->set_highest_modseq(change.head.mailbox().highest_modseq() + 1);
        entry.set_modseq(change.head.mailbox().highest_modseq());
        change.puts = {{EntryKey(7), entry.SerializeAsString()}};
        return change;
      }).ok());
  EXPECT_TRUE(Expunge(ends, 1).ok());
  EXPECT_TRUE(ErasePartition(PartitionId::Mailbox(ends)).ok());
  EXPECT_TRUE(ErasePartition(PartitionId::Domain(empty_domain)).ok());
  Deliver("to a new one", {CreateMailbox(CreateDomain())});
  EXPECT_TRUE(Put(PartitionId::Directory(), {{"d/example.net", "2"}}).ok());
  DeliverOnce(4, Key('\4'), "later", {second});
}

void MovingStore::Know(const MovingStore& other) {
  first = other.first;
  second = other.second;
  large = other.large;
  ends = other.ends;
  domain = other.domain;
  empty_domain = other.empty_domain;
}

std::map<std::string, std::string> MovingStore::Contents() {
  std::map<std::string, std::string> contents;
  const auto add = [&](PartitionId partition) {
    const std::string name = absl::StrCat(static_cast<int>(partition.kind), "/", partition.number);
    const engine::ReadResult read = Read(partition);
    contents[name] = read.head->DebugString();
    contents[absl::StrCat(name, " sums")] =
        absl::StrCat(read.used_bytes, " ", read.used_messages, " ", read.mailboxes);
    for (const auto& [key, value] : Scan(partition, "", "", 100'000).items) {
      if (key == engine::kHouseKey && partition == PartitionId::Directory()) continue;
      std::string& text = contents[absl::StrCat(name, " ", absl::CHexEscape(key))];
      text = value;
      stored::Entry entry;
      if (!engine::EntryUid(key) || !entry.ParseFromString(value)) continue;
      text = TextOf(entry);
      entry.clear_body();
      absl::StrAppend(&text, entry.DebugString());
    }
  };
  add(PartitionId::Directory());
  for (const auto kind : {PartitionId::Kind::kDomain, PartitionId::Kind::kMailbox}) {
    const auto listed = Await<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>>(
        [&](auto done) { engine_->ListPartitions(kind, 0, 100'000, std::move(done)); });
    EXPECT_TRUE(listed.ok()) << listed.status();
    for (const auto& [number, head] : *listed) add({kind, number});
  }
  std::string from;
  do {
    const auto page = Await<absl::StatusOr<engine::ReceiptPage>>(
        [&](auto done) { engine_->ReadReceipts(from, 100, std::move(done)); });
    EXPECT_TRUE(page.ok()) << page.status();
    for (const auto& [id, receipt] : page->receipts) {
      contents[absl::StrCat("receipt ", id.ToString())] = receipt.DebugString();
    }
    from = page->next;
  } while (!from.empty());
  const auto events = Await<absl::StatusOr<engine::EventPage>>(
      [&](auto done) { engine_->ReadEvents(0, 100'000, std::move(done)); });
  EXPECT_TRUE(events.ok()) << events.status();
  contents["next event"] = absl::StrCat(events->next);
  for (const stored::Event& event : events->events) {
    contents[absl::StrCat("event ", event.sequence())] = event.DebugString();
  }
  return contents;
}

void ExpectSame(MovingStore& one, MovingStore& other) {
  const auto a = one.Contents(), b = other.Contents();
  for (const auto& [name, value] : a) {
    const auto it = b.find(name);
    EXPECT_TRUE(it != b.end()) << name << ": is missing";
    if (it != b.end() && it->second != value) ADD_FAILURE() << name << ": differs";
  }
  for (const auto& [name, value] : b) EXPECT_EQ(a.count(name), 1u) << name << ": is too much";
  EXPECT_EQ(other.Verify(), std::vector<std::string>());
}

namespace {

absl::StatusOr<std::unique_ptr<engine::Engine>> OpenPlace(const std::string& place, engine::QuotaRules rules,
                                                          const Clock* clock) {
  const std::vector<std::string> words = absl::StrSplit(place, ':');
  if (words.size() == 3 && words[0] == "rados") {
    rados::Options options;
    options.ceph_conf = words[1];
    options.ceph_user = "admin";
    options.name_space = words[2];
    options.create = true;
    options.measured = false;
    options.life_interval = absl::Milliseconds(400);
    options.rules = std::move(rules);
    options.clock = clock;
    return rados::Open(std::move(options));
  }
  embedded::Options options;
  options.data_dir = place;
  options.create = true;
  options.rules = std::move(rules);
  options.clock = clock;
  options.ballast = 1 << 20;
  options.segment_bytes = 1 << 20;
  return embedded::Open(std::move(options));
}

std::unique_ptr<engine::Engine> OpenOrFail(const std::string& place, engine::QuotaRules rules,
                                           const Clock* clock) {
  auto engine = OpenPlace(place, std::move(rules), clock);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

}  // namespace

std::unique_ptr<engine::Engine> OpenToMove(const std::string& place, const Clock* clock) {
  engine::QuotaRules rules;
  rules.thresholds.clear();
  return OpenOrFail(place, std::move(rules), clock);
}

std::unique_ptr<engine::Engine> OpenToServe(const std::string& place, const Clock* clock) {
  return OpenOrFail(place, {}, clock);
}

MoveOptions OptionsOf(const Clock& clock) {
  MoveOptions options;
  options.from = "embedded:/old";
  options.to = "embedded:/new";
  options.clock = &clock;
  options.width = 3;
  return options;
}

TemporaryDirectory::TemporaryDirectory() {
  path_ = testing::TempDir() + "restante-moving-XXXXXX";
  EXPECT_NE(mkdtemp(path_.data()), nullptr);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace restante::moving
