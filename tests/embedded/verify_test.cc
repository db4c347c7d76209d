// What is verified while other things go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/simulated_disk.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::IsEmpty;

TEST(Verify, ABodyThatIsMovedMeanwhileIsNoProblem) {
  SimulatedDisk disk;
  SmallStore store("/data");
  store.options.files = &disk;
  store.options.segment_bytes = 50'000;
  store.options.compaction_bytes_per_second = 0;  // Only by command.
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(store.Deliver(Noise(5'000, i)).ok());
    if (i < 8) {
      ASSERT_TRUE(store.Expunge(store.Entries().back().uid()).ok());
    }
  }
  const std::string first = "/data/segments/" + SegmentName(1);
  ASSERT_TRUE(disk.SizeOf("/data/segments/" + SegmentName(2)).ok());
  // It is held in its first body while all of them are moved.
  const auto fault =
      disk.Inject({.kind = SimulatedDisk::Kind::kRead, .path_contains = SegmentName(1), .held = true});
  absl::Notification verified;
  absl::StatusOr<std::vector<std::string>> problems;
  store.engine->VerifyBodies([](uint64_t) {},
                             [&](absl::StatusOr<std::vector<std::string>> result) {
                               problems = std::move(result);
                               verified.Notify();
                             });
  disk.AwaitStruck(fault);
  ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                store.engine->Compact([](const engine::UpkeepProgress&) { return true; }, std::move(done));
              }).ok());
  EXPECT_FALSE(disk.SizeOf(first).ok());
  disk.Release(fault);
  AwaitOrDie(verified);
  ASSERT_TRUE(problems.ok()) << problems.status();
  EXPECT_THAT(*problems, IsEmpty());
}

}  // namespace
}  // namespace restante::embedded
