// Directories that are not what they should be: one clear line, nothing changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class OpenStore : public testing::Test {
 protected:
  OpenStore() : path_(directory_.path / "data"), store_(path_) {}

  void MakeStore() {
    ASSERT_TRUE(store_.Open().ok());
    ASSERT_TRUE(store_.Deliver("kept").ok());
    store_.Close();
  }
  // Opens it, expects an error of this code whose line has these words.
  void ExpectRefused(bool create, absl::StatusCode code, std::vector<std::string> words) {
    store_.options.create = create;
    const absl::Status status = store_.Open();
    EXPECT_EQ(status.code(), code) << status;
    words.push_back(path_.string());
    for (const std::string& word : words) EXPECT_THAT(std::string(status.message()), HasSubstr(word));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
    store_.options.create = true;
  }

  Directory directory_;
  fs::path path_;
  SmallStore store_;
};

TEST_F(OpenStore, AMissingOneNeedsCreate) {
  ExpectRefused(false, absl::StatusCode::kNotFound, {"no such directory", "--create"});
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(OpenStore, AnEmptyOneNeedsCreate) {
  fs::create_directory(path_);
  ExpectRefused(false, absl::StatusCode::kNotFound, {"is empty", "--create"});
  EXPECT_TRUE(fs::is_empty(path_));
}

TEST_F(OpenStore, CreateMakesParentsAndOpensWhatIsThere) {
  store_.options.data_dir = path_ / "a/b";
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(store_.Deliver("kept").ok());
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_THAT(store_.Texts(), ElementsAre("kept"));
}

TEST_F(OpenStore, AFileSystemsRootMayHaveItsLostAndFound) {
  fs::create_directories(path_ / "lost+found");
  MakeStore();
}

TEST_F(OpenStore, ForeignFilesAreLeftAlone) {
  fs::create_directory(path_);
  WriteFile(path_ / "thesis.tex", "mine");
  for (const bool create : {false, true}) {
    ExpectRefused(create, absl::StatusCode::kFailedPrecondition, {"thesis.tex"});
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(path_), fs::directory_iterator()), 1);
}

TEST_F(OpenStore, AFileIsNoDirectory) {
  WriteFile(path_, "a file");
  ExpectRefused(true, absl::StatusCode::kFailedPrecondition, {"not a directory"});
}

TEST_F(OpenStore, OneThatIsInUseIsRefused) {
  ASSERT_TRUE(store_.Open().ok());
  SmallStore second(path_);
  const absl::Status status = second.Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(path_.string()), HasSubstr("in use")));
}

TEST_F(OpenStore, ANewerFormatIsRefusedWithBothVersions) {
  MakeStore();
  const std::string format = ReadFile(path_ / "FORMAT");
  WriteFile(path_ / "FORMAT", absl::StrReplaceAll(format, {{"format 2", "format 999"}}));
  ExpectRefused(true, absl::StatusCode::kFailedPrecondition, {"format 999", "up to 2"});
}

TEST_F(OpenStore, ALostFormatFileIsNoReasonToBeginAnew) {
  MakeStore();
  fs::remove(path_ / "FORMAT");
  ExpectRefused(true, absl::StatusCode::kFailedPrecondition, {"no FORMAT"});
  EXPECT_TRUE(fs::exists(store_.Segment()));
}

TEST_F(OpenStore, AnInterruptedCreationIsFinishedByAnother) {
  MakeStore();
  fs::remove(path_ / "FORMAT");
  WriteFile(path_ / "CREATING", "");
  ExpectRefused(false, absl::StatusCode::kNotFound, {"interrupted", "--create"});
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_THAT(store_.Texts(), IsEmpty());
}

TEST_F(OpenStore, ALostIndexIsDamage) {
  MakeStore();
  fs::remove_all(path_ / "index");
  ExpectRefused(true, absl::StatusCode::kNotFound, {"index"});
}

TEST_F(OpenStore, ADamagedManifestIsDamage) {
  MakeStore();
  for (const auto& file : fs::directory_iterator(path_ / "index")) {
    if (file.path().filename().string().starts_with("MANIFEST")) WriteFile(file.path(), "rubbish");
  }
  ExpectRefused(true, absl::StatusCode::kDataLoss, {"index"});
}

TEST_F(OpenStore, AMissingSegmentIsDamageWhereverItWas) {
  store_.options.segment_bytes = 10'000;
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, i)).ok());
  ASSERT_TRUE(fs::exists(store_.Segment(4)));
  store_.Close();
  for (uint64_t segment = 1; fs::exists(store_.Segment(segment)); ++segment) {
    const fs::path aside = directory_.path / "aside";
    fs::rename(store_.Segment(segment), aside);
    ExpectRefused(true, absl::StatusCode::kDataLoss, {"missing"});
    fs::rename(aside, store_.Segment(segment));
  }
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_EQ(store_.Texts().size(), 10u);
}

TEST_F(OpenStore, ALogThatEndsBeforeTheIndexIsDamage) {
  MakeStore();
  fs::resize_file(store_.Segment(), fs::file_size(store_.Segment()) - 1);
  ExpectRefused(true, absl::StatusCode::kDataLoss, {"log"});
}

TEST_F(OpenStore, NumbersAreNeverGivenTwice) {
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(store_.Deliver("one").ok());
  const uint64_t body = store_.Entries()[0].body();
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_GT(store_.engine->NewNumber(), std::max(body, store_.mailbox));
}

TEST_F(OpenStore, ADamagedBodyIsDataLossForItselfAlone) {
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(store_.Deliver("good").ok());
  ASSERT_TRUE(store_.Deliver(Noise(1000, 1)).ok());
  store_.Close();
  std::string log = ReadFile(store_.Segment());
  const size_t at = log.find(Noise(1000, 1));
  ASSERT_NE(at, std::string::npos);
  log[at + 500] = static_cast<char>(log[at + 500] ^ 1);
  WriteFile(store_.Segment(), log);
  ASSERT_TRUE(store_.Open().ok());
  const auto entries = store_.Entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(*store_.TextOf(entries[0]), "good");
  const absl::Status damaged = store_.TextOf(entries[1]).status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(damaged.message()), AllOf(HasSubstr(absl::StrCat("body ", entries[1].body())),
                                                    HasSubstr(store_.Segment().string())));
}

TEST_F(OpenStore, ADiskForTenTakesTenLargeMessages) {
  for (const uint64_t size : {uint64_t{1} << 20, uint64_t{5} << 20}) {
    Directory directory;
    SmallStore store(directory.path / "data");
    store.options.max_disk = size * 21 / 2;
    ASSERT_TRUE(store.Open().ok());
    int stored = 0;
    for (int i = 0; i < 12; ++i) stored += store.Deliver(Noise(size, i)).ok();
    EXPECT_EQ(stored, 10) << size;
    EXPECT_LE(store.engine->GetCapacity().used, store.options.max_disk);
  }
}

}  // namespace
}  // namespace restante::embedded
