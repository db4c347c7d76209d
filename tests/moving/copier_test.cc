// A partition is made equal to another one while that changes.
#include "server/engine/moving/copier.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/memory/memory_engine.h"
#include "tests/moving/moving_store.h"

namespace restante::moving {
namespace {

using engine::PartitionId;

class Copying : public testing::Test {
 protected:
  static std::unique_ptr<MovingStore> NewStore() {
    return std::make_unique<MovingStore>(engine::NewMemoryEngine({}));
  }
  void CopyDomain() {
    const absl::Status copied =
        Copier(&from_->engine(), &to_->engine(), [] {}).Copy(PartitionId::Domain(domain_));
    ASSERT_TRUE(copied.ok()) << copied;
  }
  void Copy(Copier& copier) {
    CopyDomain();
    const absl::Status copied = copier.Copy(PartitionId::Mailbox(mailbox_));
    ASSERT_TRUE(copied.ok()) << copied;
  }
  void Fill(int messages) {
    for (int i = 0; i < messages; ++i) from_->Deliver(absl::StrCat("text ", ++delivered_), {mailbox_});
  }

  const std::unique_ptr<MovingStore> from_ = NewStore(), to_ = NewStore();
  const uint64_t domain_ = from_->CreateDomain(), mailbox_ = from_->CreateMailbox(domain_);
  int delivered_ = 0;
};

TEST_F(Copying, AMailboxThatFillsFasterThanItIsCopiedHasAnEnd) {
  Fill(1000);
  int writes = 0;
  Copier copier(&from_->engine(), &to_->engine(), [&] {
    if (++writes <= 20) Fill(300);
  });
  Copy(copier);
  // In steps of 256.
  EXPECT_LE(writes, 6);
  EXPECT_EQ(to_->EntriesOf(mailbox_).size(), 1000u);
  writes = 20;
  Copy(copier);
  const auto entries = to_->EntriesOf(mailbox_);
  ASSERT_EQ(entries.size(), static_cast<size_t>(delivered_));
  EXPECT_EQ(to_->TextOf(entries.back()), absl::StrCat("text ", delivered_));
  to_->ExpectExact({mailbox_});
}

// What stands behind the entries is copied, however many of them are left out.
TEST_F(Copying, KeysBehindEntriesThatAreLeftOutAreCopied) {
  ASSERT_TRUE(from_->Put(PartitionId::Mailbox(mailbox_), {{"a/before", "1"}, {"z/behind", "2"}}).ok());
  Fill(1000);
  int writes = 0;
  Copier copier(&from_->engine(), &to_->engine(), [&] {
    if (++writes == 1) Fill(2000);
  });
  Copy(copier);
  EXPECT_EQ(to_->EntriesOf(mailbox_).size(), 1000u);
  EXPECT_EQ(to_->Read(PartitionId::Mailbox(mailbox_), {"a/before", "z/behind"}).values.size(), 2u);
}

}  // namespace
}  // namespace restante::moving
