// A full disk is an ordinary day: mail is refused before it is promised, and what
// was promised, or makes room, goes through.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/simulated_disk.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using Kind = SimulatedDisk::Kind;

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kDiskBytes = 32 * kMiB;
constexpr uint64_t kDiskFiles = 400;
const absl::Status kFull = absl::ResourceExhaustedError("no space left on device");

class FullDisk : public testing::Test {
 protected:
  FullDisk() : store_("/data") {
    disk_.SetCapacity(kDiskBytes, kDiskFiles);
    store_.options.files = &disk_;
    store_.options.ballast.reset();
    store_.options.disk_reserve.reset();
    store_.options.maintenance_interval = absl::Milliseconds(10);
    store_.options.log = [this](LogLevel, const std::string& line) {
      absl::MutexLock lock(&mutex_);
      lines_.push_back(line);
    };
  }
  void SetUp() override { ASSERT_TRUE(store_.Open().ok()); }

  // Another program takes all octets but `left`.
  void TakeBytes(uint64_t left = 0) {
    auto file = disk_.Open("/foreign", Files::Mode::kAppend);
    ASSERT_TRUE(file.ok());
    while (true) {
      const uint64_t available = disk_.SpaceAt("/")->available;
      if (available <= left) return;
      const std::string octets(available - left, 'x');
      (*file)->Append({octets}).IgnoreError();
    }
  }
  void TakeFiles() {
    for (int i = 0; disk_.Open(absl::StrCat("/foreign", i), Files::Mode::kCreate).ok(); ++i) {
    }
  }
  void GiveBack() {
    const auto names = disk_.List("/");
    for (const std::string& name : *names) {
      if (name == "data") continue;
      ASSERT_TRUE(disk_.Remove("/" + name).ok());
    }
  }

  // Fills it by mail; the texts are added to kept_.
  void Fill(uint64_t size) {
    while (true) {
      const std::string text = Noise(size, kept_.size());
      const auto receipt = store_.Deliver(text);
      if (!receipt.ok()) {
        // The watermark was crossed after MAIL; DATA is before the promise, too.
        if (receipt.status().message() == "refused at Confirm") continue;
        ASSERT_EQ(receipt.status().message(), "refused at Open");
        return;
      }
      kept_.push_back(text);
    }
  }
  // It may be refused before it is promised anything, while there is no room.
  void Keep(const std::string& text) {
    absl::Status status;
    do {
      status = store_.Deliver(text).status();
    } while (absl::StartsWith(status.message(), "refused at"));
    ASSERT_TRUE(status.ok()) << status;
    kept_.push_back(text);
  }
  void AwaitFull() {
    while (!store_.engine->GetCapacity().full) std::this_thread::yield();
  }
  void ExpectRefusedAtOpen() {
    EXPECT_EQ(store_.Deliver("more").status().message(), "refused at Open");
    EXPECT_TRUE(store_.engine->GetCapacity().full);
    EXPECT_FALSE(store_.engine->GetCapacity().read_only);
  }
  void AwaitWholeBallast() {
    store_.AwaitFigure("ballast_bytes", [](uint64_t bytes) { return bytes == 4 * kMiB; });
    store_.AwaitFigure("spare_files", [](uint64_t files) { return files == 64; });
  }
  // Also after both kinds of a crash.
  void ExpectAllKept() {
    EXPECT_TRUE(store_.Texts() == kept_);
    EXPECT_THAT(store_.Problems(), IsEmpty());
    EXPECT_EQ(store_.Figure("failed_groups"), 0u);
    EXPECT_EQ(store_.Figure("index_reopened"), 0u);
    const uint64_t now = disk_.operations();
    for (const Survives survives : {Survives::kEverything, Survives::kSynced}) {
      const auto crashed = disk_.CutAfter(now, survives);
      // As full as it was.
      crashed->SetCapacity(kDiskBytes, kDiskFiles);
      SmallStore next("/data");
      next.options = store_.options;
      next.options.files = crashed.get();
      const absl::Status opened = next.Open();
      ASSERT_TRUE(opened.ok()) << opened;
      EXPECT_TRUE(next.Texts() == kept_);
      EXPECT_THAT(next.Problems(), IsEmpty());
    }
  }
  // The log says so, soon. (The store knew it first.)
  void AwaitLine(absl::string_view begin, absl::string_view word) {
    const auto said = [&] {
      absl::MutexLock lock(&mutex_);
      return std::any_of(lines_.begin(), lines_.end(), [&](const std::string& line) {
        return absl::StartsWith(line, begin) && absl::StrContains(line, word);
      });
    };
    while (!said()) std::this_thread::yield();
  }

  SimulatedDisk disk_;
  SmallStore store_;
  std::vector<std::string> kept_;
  absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

// A delivery that is stopped where the sender was told to send: it has its 354.
class UnderWay {
 public:
  UnderWay(SmallStore& store, std::string text) : store_(store), text_(std::move(text)) {
    id_ = store_.NewTransaction();
    const auto opened = Await<absl::StatusOr<engine::OpenResult>>(
        [&](auto done) { store_.engine->Open(id_, text_.size(), std::move(done)); });
    EXPECT_TRUE(opened.ok() && std::holds_alternative<engine::Opened>(*opened));
    const auto reserved = Await<absl::StatusOr<engine::ReserveResult>>([&](auto done) {
      store_.engine->Reserve(id_, store_.mailbox, {.bytes = text_.size(), .at_least = text_.size()},
                             std::move(done));
    });
    EXPECT_TRUE(reserved.ok() && std::holds_alternative<engine::Granted>(*reserved));
    const auto confirmed = Await<absl::StatusOr<engine::Confirmed>>(
        [&](auto done) { store_.engine->Confirm(id_, std::move(done)); });
    EXPECT_TRUE(confirmed.ok() && !confirmed->disk);
  }
  // Sends the text, and the dot.
  absl::Status Finish() {
    auto writer = store_.engine->NewBody(text_.size());
    for (size_t at = 0; at < text_.size(); at += 100'000) {
      RETURN_IF_ERROR(Await<absl::Status>(
          [&](auto done) { writer->Append(text_.substr(at, 100'000), std::move(done)); }));
    }
    auto staged = Await<absl::StatusOr<std::unique_ptr<engine::StagedBody>>>(
        [&](auto done) { writer->Finish(std::move(done)); });
    RETURN_IF_ERROR(staged.status());
    engine::CommitRequest request;
    request.transaction = id_;
    request.body = *std::move(staged);
    request.entries.emplace_back(store_.mailbox, stored::Entry());
    request.receipt.set_committed(true);
    return Await<absl::StatusOr<stored::Receipt>>(
               [&](auto done) { store_.engine->Commit(std::move(request), std::move(done)); })
        .status();
  }

 private:
  SmallStore& store_;
  const std::string text_;
  engine::TransactionId id_;
};

TEST_F(FullDisk, FilledByMailItRefusesBeforeItPromisesAndNothingMeetsTheEnd) {
  Fill(300'000);
  EXPECT_GT(kept_.size(), 60u);
  Fill(1);
  ExpectRefusedAtOpen();
  EXPECT_EQ(disk_.out_of_room(), 0);
  AwaitLine("the disk is full, mail is refused", " bytes used of ");
  EXPECT_TRUE(store_.Touch().ok());
  ExpectAllKept();
  // In order, so that segments die whole.
  for (const stored::Entry& entry : store_.Entries()) ASSERT_TRUE(store_.Expunge(entry.uid()).ok());
  kept_.clear();
  Keep("again");
  AwaitLine("the disk has room again", " bytes used of ");
  EXPECT_EQ(disk_.out_of_room(), 0);
  ExpectAllKept();
}

TEST_F(FullDisk, AnotherProgramThatTakesTheLastBlockCostsNobodyAnything) {
  Keep("first");
  UnderWay small(store_, Noise(3'000, 1));
  UnderWay large(store_, Noise(1'000'000, 2));
  TakeBytes();
  // The promises are kept, of the ballast.
  EXPECT_TRUE(small.Finish().ok());
  EXPECT_TRUE(large.Finish().ok());
  kept_.insert(kept_.end(), {Noise(3'000, 1), Noise(1'000'000, 2)});
  EXPECT_GT(disk_.out_of_room(), 0);
  EXPECT_LT(store_.Figure("ballast_bytes"), 4 * kMiB);
  AwaitFull();
  ExpectRefusedAtOpen();
  AwaitLine("the disk is full, mail is refused", "free are ");
  // Settings, and what makes room.
  EXPECT_TRUE(store_.Touch().ok());
  ASSERT_TRUE(store_.Expunge(store_.Entries()[0].uid()).ok());
  kept_.erase(kept_.begin());
  store_.AwaitIndexed();
  ExpectAllKept();
  GiveBack();
  Keep("again");
  AwaitWholeBallast();
  ExpectAllKept();
}

TEST_F(FullDisk, WhenAnotherProgramHasTakenTheLastInodeLargeMailUnderWayGetsThrough) {
  Keep("first");
  std::vector<std::unique_ptr<UnderWay>> large;
  for (int i = 0; i < 3; ++i) large.push_back(std::make_unique<UnderWay>(store_, Noise(4'500'000, i)));
  TakeFiles();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(large[i]->Finish().ok());
    kept_.push_back(Noise(4'500'000, i));
  }
  EXPECT_GT(disk_.out_of_room(), 3);
  EXPECT_LT(store_.Figure("spare_files"), 64u);
  AwaitFull();
  ExpectRefusedAtOpen();
  AwaitLine("the disk is full, mail is refused", " inodes, ballast is ");
  EXPECT_TRUE(store_.Touch().ok());
  store_.AwaitIndexed();
  ExpectAllKept();
  GiveBack();
  Keep("again");
  AwaitWholeBallast();
  ExpectAllKept();
}

TEST_F(FullDisk, FewInodesAreAFullDiskUntilThereAreSomeMore) {
  // 128 are kept back, 64 of them are the ballast's.
  while (disk_.SpaceAt("/")->available_files > 64) {
    ASSERT_TRUE(disk_.Open(absl::StrCat("/foreign", disk_.operations()), Files::Mode::kCreate).ok());
  }
  Keep("the last one");
  ASSERT_TRUE(disk_.Open("/foreign", Files::Mode::kCreate).ok());
  AwaitFull();
  ExpectRefusedAtOpen();
  EXPECT_EQ(disk_.out_of_room(), 0);
  ASSERT_TRUE(disk_.Remove("/foreign").ok());
  // The low watermark is 32 above.
  const auto names = disk_.List("/");
  for (int i = 0; i < 32; ++i) {
    ExpectRefusedAtOpen();
    ASSERT_TRUE(disk_.Remove("/" + (*names)[i + 1]).ok());
  }
  Keep("again");
  ExpectAllKept();
}

TEST_F(FullDisk, WhereTheBallastIsUsedUpRefusalsAreTrueAndReadersSeeNothingOfIt) {
  Keep("first");
  UnderWay large(store_, Noise(4'500'000, 1));
  UnderWay small(store_, Noise(300'000, 2));
  TakeBytes();
  // Bodies get half of it, so this is too much; what it had written is given back.
  EXPECT_EQ(large.Finish().code(), absl::StatusCode::kResourceExhausted);
  TakeBytes();
  // Until the log has had its three quarters.
  absl::Status status;
  for (int i = 0; status.ok(); ++i) {
    TakeBytes();
    status = store_.Touch();
    ASSERT_LT(i, 100'000);
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  const absl::Status finished = small.Finish();
  if (finished.ok()) {
    // In the meantime the index has let a file of its own go.
    kept_.push_back(Noise(300'000, 2));
  } else {
    EXPECT_EQ(finished.code(), absl::StatusCode::kResourceExhausted) << finished;
  }
  ExpectRefusedAtOpen();
  store_.AwaitIndexed();
  EXPECT_EQ(store_.Figure("index_reopened"), 0u);
  // The index has the last quarter for itself, and did not need all of it.
  EXPECT_GT(store_.Figure("ballast_bytes"), 0u);
  EXPECT_TRUE(store_.Texts() == kept_);
  // It stays up, opens again, and takes mail when there is room.
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_TRUE(store_.Texts() == kept_);
  ExpectRefusedAtOpen();
  GiveBack();
  Keep("again");
  AwaitWholeBallast();
  ExpectAllKept();
}

TEST_F(FullDisk, WhereThereIsNoRoomForAnotherSegmentThisOneGoesOn) {
  store_.options.ballast = 0;
  store_.options.segment_bytes = 50'000;
  ASSERT_TRUE(store_.Open().ok());
  Keep(Noise(60'000, 1));
  // All its octets may be there, only not durably.
  const auto fault = disk_.Inject({.kind = Kind::kSync,
                                   .path_contains = SegmentName(2),
                                   .status = kFull,
                                   .loss = SimulatedDisk::Loss::kNone});
  Keep(Noise(1'000, 2));
  EXPECT_EQ(disk_.Struck(fault), 1);
  ExpectAllKept();
  Keep(Noise(1'000, 3));
  EXPECT_TRUE(disk_.SizeOf(store_.Segment(2)).ok());
  ExpectAllKept();
}

TEST_F(FullDisk, ASyncWithoutRoomIsNotTriedAgain) {
  Keep("first");
  const auto fault = disk_.Inject({.kind = Kind::kSync, .path_contains = "/segments/", .status = kFull});
  EXPECT_EQ(store_.Deliver("lost").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(disk_.Struck(fault), 1);
  uint64_t failed = 0;
  for (uint64_t i = 1; i <= disk_.operations(); ++i) {
    const DiskOperation operation = disk_.operation(i);
    if (operation.kind != Kind::kSync || operation.path != store_.Segment(1)) continue;
    EXPECT_EQ(failed, 0u) << operation.ToString();
    if (operation.failed != absl::StatusCode::kOk) failed = i;
  }
  EXPECT_NE(failed, 0u);
  Keep("second");
  EXPECT_TRUE(store_.Texts() == kept_);
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

struct Place {
  const char* name;
  Kind kind;
  const char* path;
};

class FullDiskAt : public FullDisk, public testing::WithParamInterface<Place> {};

TEST_P(FullDiskAt, AWriteThatMeetsItIsTriedAgainAndBreaksNoPromise) {
  store_.options.segment_bytes = 50'000;
  store_.options.checkpoint_bytes = 100'000;
  ASSERT_TRUE(store_.Open().ok());
  const auto fault =
      disk_.Inject({.kind = GetParam().kind, .path_contains = GetParam().path, .status = kFull, .part = 0.5});
  // Two files of their own, and enough to turn memory tables of the index into files.
  for (int i = 0; i < 2; ++i) Keep(Noise(4'500'000, i));
  while (disk_.Struck(fault) == 0) {
    Keep(Noise(1'000, kept_.size()));
    ASSERT_LT(kept_.size(), 2'000u) << "it was never met";
  }
  store_.AwaitIndexed();
  ExpectAllKept();
  AwaitWholeBallast();
}

INSTANTIATE_TEST_SUITE_P(Places, FullDiskAt,
                         testing::Values(Place{"Log", Kind::kAppend, "/segments/"},
                                         Place{"NewSegment", Kind::kCreate, "/segments/"},
                                         Place{"NewBody", Kind::kCreate, ".part"},
                                         Place{"Body", Kind::kAppend, ".part"},
                                         Place{"BodysName", Kind::kRename, ".part"},
                                         Place{"NewTable", Kind::kCreate, ".ldb"},
                                         Place{"Table", Kind::kAppend, ".ldb"},
                                         Place{"Manifest", Kind::kAppend, "/index/MANIFEST"}),
                         [](const auto& place) { return place.param.name; });

TEST(Creation, ThatFindsNoRoomAtAnyMomentIsFinishedLater) {
  int failed = 0;
  for (int after = 0;; ++after) {
    SimulatedDisk disk;
    SmallStore store("/data");
    store.options.files = &disk;
    ASSERT_TRUE(disk.MakeDirectory("/data").ok());
    const auto fault = disk.Inject({.path_contains = "/data", .after = after, .status = kFull, .part = 0.5});
    const absl::Status opened = embedded::Open(store.options).status();
    const bool struck = disk.Struck(fault) > 0;
    disk.Heal();
    if (!opened.ok()) {
      ++failed;
      EXPECT_TRUE(absl::StartsWith(opened.message(), "/data")) << opened;
      EXPECT_THAT(std::string(opened.message()), HasSubstr("no space left")) << after;
      // (A segment says "no room" only where nothing is left of it.)
      if (!absl::StrContains(opened.message(), "segments")) {
        EXPECT_EQ(opened.code(), absl::StatusCode::kResourceExhausted) << after << ": " << opened;
        EXPECT_THAT(std::string(opened.message()), HasSubstr("make room"));
      }
    }
    const absl::Status again = store.Open();
    ASSERT_TRUE(again.ok()) << after << ": " << again;
    ASSERT_TRUE(store.Deliver("mail").ok());
    if (!struck) break;
  }
  EXPECT_GT(failed, 20);
}

}  // namespace
}  // namespace restante::embedded
