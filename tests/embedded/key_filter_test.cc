#include "server/engine/embedded/key_filter.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/engine/embedded/index.h"
#include "server/engine/embedded/index_keys.h"
#include "tests/embedded/simulated_disk.h"

namespace restante::embedded {
namespace {

std::string Key(int number) { return absl::StrCat("key ", number); }

TEST(KeyFilter, NeverDeniesWhatWasAddedAndSeldomTakesAnotherForIt) {
  // As it grows, through several tables.
  KeyFilter filter;
  EXPECT_FALSE(filter.MayHave(Key(0)));
  constexpr int kKeys = 50'000;
  int mistaken = 0;
  for (int i = 0; i < kKeys; ++i) {
    mistaken += filter.MayHave(Key(i));
    filter.Add(Key(i));
    ASSERT_TRUE(filter.MayHave(Key(i)));
  }
  for (int i = 0; i < kKeys; ++i) ASSERT_TRUE(filter.MayHave(Key(i))) << i;
  EXPECT_LT(mistaken, kKeys / 50);
}

TEST(KeyFilter, DeniesNothingWhenItIsFull) {
  KeyFilter filter(/*max_tables=*/1);
  int added = 0;
  while (!filter.MayHave("never added") || added < 30'000) filter.Add(Key(added++));
  for (int i = 0; i < 2 * added; i += 100) ASSERT_TRUE(filter.MayHave(Key(i))) << i;
  EXPECT_LT(added, 40'000);
}

TEST(ReceiptFilter, FindsWhatTheIndexHas) {
  SimulatedDisk disk;
  ASSERT_TRUE(disk.MakeDirectory("/index").ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  const auto mailbox = [](uint64_t number, absl::string_view key) {
    return PartitionKey(engine::PartitionId::Mailbox(number), key);
  };
  const auto open_receipt = [&](uint64_t number, char letter) {
    return mailbox(number, engine::OpenReceiptKey(std::string(16, letter)));
  };
  const auto receipt = [](uint64_t bucket, uint8_t octet) { return ReceiptKey(bucket, {{octet}}); };
  stored::Group group;
  group.set_number(1);
  for (const std::string& key :
       {open_receipt(3, 'a'), open_receipt(3, 'b'), mailbox(3, engine::EntryKey(1)),
        mailbox(3, engine::EntryKey(2)), mailbox(4, engine::EntryKey(1)), open_receipt(5, 'c'),
        HeadKey(engine::PartitionId::Mailbox(6)), receipt(0, 1), receipt(1, 2)}) {
    group.add_puts()->set_key(key);
  }
  stored::Checkpoint reached;
  reached.set_group(1);
  {
    Index index(&disk, "/index");
    ASSERT_TRUE(index.Open(/*create=*/true).ok());
    ASSERT_TRUE(index.Apply({&group}, &reached).ok());
    ASSERT_TRUE(index.WriteCheckpoint(reached).ok());
  }
  Index index(&disk, "/index");
  ASSERT_TRUE(index.Open(/*create=*/false).ok());
  ReceiptFilter& filter = index.receipts();
  // Nobody has looked yet.
  EXPECT_TRUE(filter.MayHave(receipt(7, 7)));
  EXPECT_TRUE(absl::IsCancelled(index.Snapshot(1)->FindReceipts(&filter, [] { return false; })));
  EXPECT_TRUE(filter.MayHave(receipt(7, 7)));
  ASSERT_TRUE(index.Snapshot(1)->FindReceipts(&filter, [] { return true; }).ok());

  for (const stored::Put& put : group.puts()) EXPECT_TRUE(filter.MayHave(put.key()));
  EXPECT_FALSE(filter.MayHave(open_receipt(3, 'c')));
  EXPECT_FALSE(filter.MayHave(open_receipt(4, 'a')));
  EXPECT_FALSE(filter.MayHave(receipt(0, 2)));
  EXPECT_FALSE(filter.MayHave(receipt(2, 1)));
  // Of anything else it does not know.
  EXPECT_TRUE(filter.MayHave(mailbox(3, engine::EntryKey(9))));
  // What comes later, it has too; what is erased at once never comes.
  stored::Group erased, later;
  later.set_number(2);
  later.add_puts()->set_key(receipt(0, 2));
  later.add_puts()->set_key(open_receipt(4, 'a'));
  erased.set_number(3);
  erased.add_erased(open_receipt(4, 'a'));
  erased.add_erased(open_receipt(5, 'c'));
  reached.set_group(3);
  ASSERT_TRUE(index.Apply({&later, &erased}, &reached).ok());
  EXPECT_TRUE(filter.MayHave(receipt(0, 2)));
  EXPECT_FALSE(filter.MayHave(open_receipt(4, 'a')));
  EXPECT_FALSE((*index.Snapshot(3)->Get(open_receipt(5, 'c'))).has_value());
  filter.DropBefore(1);
  EXPECT_FALSE(filter.MayHave(receipt(0, 1)));
  EXPECT_TRUE(filter.MayHave(receipt(1, 2)));
}

}  // namespace
}  // namespace restante::embedded
