// Data directories that earlier programs made: this one reads all that is in
// them, and goes on with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/engine/embedded/data_dir.h"
#include "tests/embedded/delivery.h"
#include "tests/embedded/small_store.h"
#include "tests/embedded/store_contents.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAreArray;
using testing::IsEmpty;

std::vector<std::string> FixtureNames() {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(FIXTURES)) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  return names;
}

// A copy of a fixture, opened.
class Formats : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const fs::path fixture = fs::path(FIXTURES) / GetParam();
    fs::copy(fixture / "data", directory_.path / "data", fs::copy_options::recursive);
    contents_ = absl::StrSplit(ReadFile(fixture / "contents.txt"), '\n', absl::SkipEmpty());
    ASSERT_GT(contents_.size(), 30u);
    options_.data_dir = directory_.path / "data";
    options_.ballast = 0;
    options_.disk_reserve = 0;
    options_.log = [](LogLevel, const std::string&) {};
    Open();
  }
  void Open() {
    engine_.reset();
    auto opened = embedded::Open(options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }
  std::vector<std::string> Contents() { return ContentsOf(*engine_, ReceiptsIn(contents_)); }

  Directory directory_;
  Options options_;
  std::unique_ptr<engine::Engine> engine_;
  std::vector<std::string> contents_;
};

TEST(FormatFixtures, AreThereForEveryFormat) {
  for (uint64_t format = 1; format <= kFormatVersion; ++format) {
    EXPECT_TRUE(fs::exists(fs::path(FIXTURES) / absl::StrCat("format-", format) / "data" / "FORMAT"))
        << "format " << format << ": fixtures/README.md says how to make it";
  }
}

TEST_P(Formats, AllThatItContainedIsThere) {
  EXPECT_THAT(Contents(), ElementsAreArray(contents_));
  EXPECT_THAT(VerifyMail(*engine_), IsEmpty());
  Open();
  EXPECT_THAT(Contents(), ElementsAreArray(contents_));
}

TEST_P(Formats, TheStoreGoesOn) {
  const auto mailboxes =
      Await<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>>([&](auto done) {
        engine_->ListPartitions(engine::PartitionId::Kind::kMailbox, 0, 100, std::move(done));
      });
  ASSERT_TRUE(mailboxes.ok()) << mailboxes.status();
  ASSERT_GE(mailboxes->size(), 3u);
  // One message for all, small and large; then everything older is expunged.
  for (const size_t size : {size_t{3'000}, size_t{5'000'000}}) {
    Delivery delivery{.transaction = SmallStore("").NewTransaction(), .text = Noise(size, size)};
    for (const auto& [number, head] : *mailboxes) delivery.entries.emplace_back(number, stored::Entry());
    const auto receipt = Deliver(*engine_, std::move(delivery));
    ASSERT_TRUE(receipt.ok()) << receipt.status();
  }
  for (const auto& [number, head] : *mailboxes) {
    for (uint64_t uid = 1; uid < head.mailbox().uid_next(); ++uid) {
      const absl::Status expunged = Expunge(*engine_, number, uid);
      ASSERT_TRUE(expunged.ok() || absl::IsNotFound(expunged)) << expunged;
    }
  }
  EXPECT_THAT(VerifyMail(*engine_), IsEmpty());
  const std::vector<std::string> before = Contents();
  Open();
  EXPECT_THAT(Contents(), ElementsAreArray(before));
  EXPECT_THAT(VerifyMail(*engine_), IsEmpty());
  for (const auto& [number, head] : *mailboxes) {
    const auto read = Await<absl::StatusOr<engine::ReadResult>>(
        [&](auto done) { engine_->Read(engine::PartitionId::Mailbox(number), {}, std::move(done)); });
    ASSERT_TRUE(read.ok() && read->head);
    EXPECT_EQ(read->head->mailbox().used_messages(), 2u);
    EXPECT_EQ(read->head->mailbox().used_bytes(), 5'003'000u);
    EXPECT_EQ(read->head->mailbox().uid_next(), head.mailbox().uid_next() + 2);
  }
}

TEST_P(Formats, RetriesOfWhatWasLeftOpenAreRecognised) {
  const auto mailboxes =
      Await<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>>([&](auto done) {
        engine_->ListPartitions(engine::PartitionId::Kind::kMailbox, 0, 100, std::move(done));
      });
  ASSERT_TRUE(mailboxes.ok()) << mailboxes.status();
  size_t recognised = 0;
  for (const auto& [number, head] : *mailboxes) {
    const auto open = Await<absl::StatusOr<engine::ScanPage>>([&](auto done) {
      engine_->Scan(engine::PartitionId::Mailbox(number), engine::kOpenReceiptsFrom, engine::kOpenReceiptsTo,
                    100, std::move(done));
    });
    ASSERT_TRUE(open.ok()) << open.status();
    for (const auto& [key, value] : open->items) {
      stored::OpenReceipt left;
      ASSERT_TRUE(left.ParseFromString(value));
      Delivery retry{.transaction = SmallStore::NewTransaction(), .text = "text", .retry_key = key.substr(2)};
      retry.entries.emplace_back(number, stored::Entry());
      const auto receipt = Deliver(*engine_, std::move(retry));
      ASSERT_TRUE(receipt.ok()) << receipt.status();
      EXPECT_EQ(receipt->recipients(0).uid(), left.uid());
      EXPECT_EQ(receipt->recipients(0).stored_by(), left.transaction_id());
      ++recognised;
    }
    const auto read = Await<absl::StatusOr<engine::ReadResult>>(
        [&](auto done) { engine_->Read(engine::PartitionId::Mailbox(number), {}, std::move(done)); });
    ASSERT_TRUE(read.ok() && read->head);
    EXPECT_EQ(read->head->SerializeAsString(), head.SerializeAsString()) << "nothing was stored";
  }
  // Those of before had none.
  EXPECT_EQ(recognised, GetParam() == "format-2-dsn" ? 6u : 0u);
  EXPECT_THAT(VerifyMail(*engine_), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Every, Formats, testing::ValuesIn(FixtureNames()), [](const auto& fixture) {
  std::string name = fixture.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace restante::embedded
