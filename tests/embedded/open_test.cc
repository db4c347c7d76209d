// Directories that are not what they should be: one clear line, nothing changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/embedded/faulty_files.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class OpenStore : public testing::Test {
 protected:
  OpenStore() : path_(directory_.path / "data"), store_(path_) {}

  void MakeStore() {
    ASSERT_TRUE(store_.Open().ok());
    ASSERT_TRUE(store_.Deliver("kept").ok());
    store_.Close();
  }
  // Every file and directory with all that a program could change of it.
  std::map<std::string, std::string> Listing() const {
    std::map<std::string, std::string> listing;
    for (const auto& entry : fs::recursive_directory_iterator(directory_.path)) {
      struct stat stat = {};
      EXPECT_EQ(lstat(entry.path().c_str(), &stat), 0);
      std::string& line = listing[entry.path()];
      absl::StrAppend(&line, stat.st_mode, " ", stat.st_uid, " ", stat.st_mtim.tv_sec, ".",
                      stat.st_mtim.tv_nsec);
      if (entry.is_regular_file()) absl::StrAppend(&line, " ", ReadFile(entry.path()));
    }
    return listing;
  }
  // Opens it, expects an error of this code, whose one line names the directory
  // and has these words, and that nothing was changed.
  void ExpectRefused(bool create, absl::StatusCode code, std::vector<std::string> words) {
    const auto before = Listing();
    store_.options.create = create;
    const absl::Status status = store_.Open();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), StartsWith(path_.string()));
    for (const std::string& word : words) EXPECT_THAT(std::string(status.message()), HasSubstr(word));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
    EXPECT_TRUE(Listing() == before) << status;
    store_.options.create = true;
  }
  void ExpectOpens() {
    const absl::Status status = store_.Open();
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_THAT(store_.Texts(), ElementsAre("kept"));
    EXPECT_THAT(store_.Problems(), IsEmpty());
    store_.Close();
  }
  // The file of the index whose name begins so.
  fs::path InIndex(const std::string& prefix) const {
    for (const auto& file : fs::directory_iterator(path_ / "index")) {
      if (file.path().filename().string().starts_with(prefix)) return file.path();
    }
    ADD_FAILURE() << "no " << prefix << " in the index";
    return {};
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

TEST_F(OpenStore, AForeignDirectoryIsLeftAlone) {
  fs::create_directory(path_);
  WriteFile(path_ / "thesis.tex", "mine");
  for (const bool create : {false, true}) {
    ExpectRefused(create, absl::StatusCode::kFailedPrecondition, {"thesis.tex"});
  }
}

TEST_F(OpenStore, AForeignFileInAStoreIsNamedAndLeftAlone) {
  MakeStore();
  fs::create_directories(path_ / "spare");
  for (const std::string file :
       {"notes.txt", "segments/0000000000000001.log.bak", "segments/1.log", "bodies/letter.part",
        "bodies/letter.body", "index/000005.txt", "index/MANIFEST-x", "spare/wheel"}) {
    WriteFile(path_ / file, "mine");
    ExpectRefused(true, absl::StatusCode::kFailedPrecondition, {file, "move it away"});
    fs::remove(path_ / file);
  }
  WriteFile(path_ / "two\nlines", "mine");
  ExpectRefused(true, absl::StatusCode::kFailedPrecondition, {"two\\nlines"});
  fs::remove(path_ / "two\nlines");
  ExpectOpens();
}

TEST_F(OpenStore, WhatIsTheFileSystemsIsNotForeign) {
  MakeStore();
  for (const std::string part : {"", "segments", "bodies", "index"}) {
    fs::create_directory(path_ / part / "lost+found");
    WriteFile(path_ / part / ".nfs0001", "kept for somebody who has it open");
  }
  ExpectOpens();
  EXPECT_TRUE(fs::exists(path_ / "index/.nfs0001"));
}

TEST_F(OpenStore, ASegmentOfAnotherStoreIsNotRemoved) {
  store_.options.segment_bytes = 10'000;
  store_.options.maintenance_interval = absl::Milliseconds(10);
  MakeStore();
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, i)).ok());
  for (int uid = 2; uid <= 11; ++uid) ASSERT_TRUE(store_.Expunge(uid).ok());
  while (fs::exists(store_.Segment(2))) std::this_thread::yield();
  store_.Close();
  WriteFile(store_.Segment(2), std::string(1000, 'x'));
  ExpectRefused(true, absl::StatusCode::kDataLoss, {store_.Segment(2).string(), "move it away"});
  fs::remove(store_.Segment(2));
  ExpectOpens();
}

TEST_F(OpenStore, ALinkIsFollowed) {
  MakeStore();
  fs::rename(path_, directory_.path / "elsewhere");
  fs::create_directory_symlink(directory_.path / "elsewhere", path_);
  ExpectOpens();
  fs::rename(directory_.path / "elsewhere", directory_.path / "gone");
  ExpectRefused(false, absl::StatusCode::kNotFound, {"no such directory"});
  ExpectRefused(true, absl::StatusCode::kFailedPrecondition, {"is a link"});
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

TEST_F(OpenStore, ADamagedFormatFileIsNamed) {
  MakeStore();
  const std::string format = ReadFile(path_ / "FORMAT");
  for (const std::string& text :
       {std::string(), std::string("rubbish"), std::string(1 << 20, 'x'), std::string("restante format 2"),
        std::string("restante format 2\nstore ?\n")}) {
    WriteFile(path_ / "FORMAT", text);
    store_.options.create = true;
    ExpectRefused(true,
                  text.size() > 20 && text.size() < 100 ? absl::StatusCode::kDataLoss
                                                        : absl::StatusCode::kFailedPrecondition,
                  {"FORMAT", "backup"});
  }
  WriteFile(path_ / "FORMAT", format);
  ExpectOpens();
}

TEST_F(OpenStore, AMissingPartIsNamed) {
  MakeStore();
  for (const std::string part : {"segments", "bodies"}) {
    const fs::path aside = directory_.path / "aside";
    fs::rename(path_ / part, aside);
    ExpectRefused(true, absl::StatusCode::kDataLoss, {part + " is missing", "backup"});
    fs::rename(aside, path_ / part);
  }
  ExpectOpens();
}

TEST_F(OpenStore, APartThatIsAFileIsNamed) {
  MakeStore();
  for (const std::string part : {"segments", "bodies", "index"}) {
    const fs::path aside = directory_.path / "aside";
    fs::rename(path_ / part, aside);
    WriteFile(path_ / part, "no directory");
    ExpectRefused(true, absl::StatusCode::kFailedPrecondition, {part});
    fs::remove(path_ / part);
    fs::rename(aside, path_ / part);
  }
  ExpectOpens();
}

TEST_F(OpenStore, ALostIndexIsMadeAgainWhenToldSo) {
  MakeStore();
  fs::remove_all(path_ / "index");
  ExpectRefused(true, absl::StatusCode::kNotFound, {"index", "--rebuild-index"});
  store_.options.rebuild_index = true;
  ExpectOpens();
}

TEST_F(OpenStore, ADamagedIndexIsNotTouchedUntilToldSo) {
  MakeStore();
  const std::pair<fs::path, std::string> damages[] = {{InIndex("MANIFEST"), "rubbish"},
                                                      {InIndex("MANIFEST"), ""},
                                                      {InIndex("MANIFEST"), "-"},
                                                      {InIndex("CURRENT"), ""},
                                                      {InIndex("CURRENT"), "junk"},
                                                      {InIndex("CURRENT"), "-"},
                                                      {InIndex("CURRENT"), "MANIFEST-000099\n"}};
  for (const auto& [file, content] : damages) {
    const std::string whole = ReadFile(file);
    if (content == "-") {
      fs::remove(file);
    } else {
      WriteFile(file, content);
    }
    const bool no_current = content == "-" && file.filename() == "CURRENT";
    ExpectRefused(true, no_current ? absl::StatusCode::kNotFound : absl::StatusCode::kDataLoss,
                  {"the index is ", "--rebuild-index"});
    WriteFile(file, whole);
  }
  ExpectOpens();
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
    ExpectRefused(true, absl::StatusCode::kDataLoss, {store_.Segment(segment).string(), "missing", "backup"});
    fs::rename(aside, store_.Segment(segment));
  }
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_EQ(store_.Texts().size(), 10u);
}

TEST_F(OpenStore, WhatAKillLeftIsNotCleanedUpInAStoreThatIsRefused) {
  store_.options.segment_bytes = 10'000;
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, i)).ok());
  const fs::path newest = store_.Segment(store_.Figure("segment"));
  store_.CopyTo(directory_.path / "killed");
  store_.Close();
  fs::rename(path_, directory_.path / "stopped");
  fs::rename(directory_.path / "killed", path_);
  WriteFile(newest, ReadFile(newest) + "torn");
  WriteFile(path_ / "bodies/00000000000000ff.part", "unfinished");
  WriteFile(path_ / "CREATING", "");
  fs::remove(path_ / "LOCK");
  const fs::path aside = directory_.path / "aside";
  fs::rename(store_.Segment(1), aside);
  ExpectRefused(true, absl::StatusCode::kDataLoss, {"missing"});
  fs::rename(aside, store_.Segment(1));
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_EQ(store_.Texts().size(), 10u);
  EXPECT_FALSE(fs::exists(path_ / "CREATING"));
  EXPECT_TRUE(fs::is_empty(path_ / "bodies"));
}

TEST_F(OpenStore, ALogThatEndsBeforeTheIndexIsDamage) {
  MakeStore();
  fs::resize_file(store_.Segment(), fs::file_size(store_.Segment()) - 1);
  ExpectRefused(true, absl::StatusCode::kDataLoss, {"log"});
}

// What a test cannot make without being root.
class PretendedFiles : public FaultyFiles {
 public:
  absl::StatusOr<Permissions> PermissionsOf(const std::string& path) override {
    Permissions permissions{
        .owner = geteuid(), .mode = mode, .allowed = forbidden.empty() || path != forbidden};
    if (!others.empty() && path == others) permissions.owner = geteuid() + 1;
    return permissions;
  }
  absl::StatusOr<Space> SpaceAt(const std::string& path) override {
    absl::StatusOr<Space> space = FaultyFiles::SpaceAt(path);
    if (space.ok()) space->read_only = read_only;
    if (space.ok() && available) space->available = *available;
    if (space.ok() && available_files) space->available_files = *available_files;
    return space;
  }

  std::string others, forbidden;
  uint32_t mode = 0700;
  bool read_only = false;
  std::optional<uint64_t> available, available_files;
};

class OpenPretended : public OpenStore {
 protected:
  OpenPretended() { store_.options.files = &files_; }
  PretendedFiles files_;
};

TEST_F(OpenPretended, AnotherUsersDirectoryIsRefused) {
  MakeStore();
  files_.others = path_;
  ExpectRefused(
      true, absl::StatusCode::kPermissionDenied,
      {absl::StrCat("belongs to user id ", geteuid() + 1), absl::StrCat("runs as user id ", geteuid())});
  files_.others.clear();
  ExpectOpens();
}

TEST_F(OpenPretended, AnotherUsersEmptyDirectoryIsRefused) {
  fs::create_directory(path_);
  files_.others = path_;
  ExpectRefused(true, absl::StatusCode::kPermissionDenied, {"belongs to user id"});
}

TEST_F(OpenPretended, WhatCannotBeReadAndWrittenIsNamed) {
  MakeStore();
  for (const fs::path& file : {path_, path_ / "FORMAT", path_ / "LOCK", path_ / "segments", path_ / "bodies",
                               path_ / "index", store_.Segment(), InIndex("CURRENT"), InIndex("MANIFEST")}) {
    files_.forbidden = file;
    ExpectRefused(
        true, absl::StatusCode::kPermissionDenied,
        {file == path_ ? "it" : fs::relative(file, path_).string(), "cannot be read and written", "chown"});
  }
  files_.forbidden.clear();
  ExpectOpens();
}

TEST_F(OpenPretended, AReadOnlyFileSystemIsNamed) {
  MakeStore();
  files_.read_only = true;
  ExpectRefused(true, absl::StatusCode::kPermissionDenied, {"read-only", "mount"});
}

TEST_F(OpenPretended, ADirectoryThatEverybodyMayWriteIsOpenedWithAWarning) {
  MakeStore();
  std::vector<std::string> lines;
  store_.options.log = [&](LogLevel, const std::string& line) { lines.push_back(line); };
  files_.mode = 0777;
  ExpectOpens();
  EXPECT_THAT(lines,
              ElementsAre(AllOf(HasSubstr(path_.string()), HasSubstr("mode 0777"), HasSubstr("chmod o-w"))));
}

TEST_F(OpenPretended, NoStoreIsMadeWhereThereIsNoRoomForOne) {
  fs::create_directory(path_);
  files_.available = 1'000'000;
  ExpectRefused(true, absl::StatusCode::kResourceExhausted, {"1000000 bytes left", "8388608"});
  files_.available.reset();
  files_.available_files = 17;
  ExpectRefused(true, absl::StatusCode::kResourceExhausted, {"17 inodes left", "256"});
}

TEST_F(OpenPretended, ADiskWithoutRoomAtTheStartIsNamed) {
  MakeStore();
  // What was torn may have been cut, so this one may change the directory.
  files_.Fail({.operation = FaultyFiles::Operation::kAppend,
               .path_contains = "/index/",
               .status = absl::ResourceExhaustedError("no space left on device"),
               .times = -1});
  const absl::Status status = store_.Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(StartsWith(path_.string()), HasSubstr("make room")));
  EXPECT_GT(files_.failed(), 0);
  files_.Heal();
  ExpectOpens();
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
