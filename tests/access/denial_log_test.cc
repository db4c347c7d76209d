#include "server/access/denial_log.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "server/base/fake_clock.h"

namespace restante::access {
namespace {

class DenialLogTest : public testing::Test {
 protected:
  // The lines that this is logged as.
  std::vector<std::string> Say(const std::string& peer, int times = 1) {
    testing::internal::CaptureStderr();
    for (int i = 0; i < times; ++i) log_.Say("", peer, "restante.v1.StoreService/Backup", "no rights");
    return absl::StrSplit(testing::internal::GetCapturedStderr(), '\n', absl::SkipEmpty());
  }

  FakeClock clock_;
  DenialLog log_{&clock_};
};

TEST_F(DenialLogTest, SaysTheSameAgainAfterTenSecondsWithHowManyWereNotSaid) {
  EXPECT_EQ(Say("192.0.2.1", 5).size(), 1u);
  EXPECT_EQ(Say("192.0.2.2").size(), 1u) << "another peer's";
  clock_.Advance(10'000'000);
  const auto again = Say("192.0.2.1");
  ASSERT_EQ(again.size(), 1u);
  EXPECT_NE(again[0].find("unsaid_before=4"), std::string::npos) << again[0];
}

TEST_F(DenialLogTest, IsBoundedWhateverStrangersDo) {
  size_t lines = 0;
  for (int i = 0; i < 5'000; ++i) lines += Say(absl::StrCat("2001:db8::", i)).size();
  EXPECT_EQ(lines, 1'001u) << "each of a thousand, and one for all others";
  clock_.Advance(10'000'000);
  EXPECT_EQ(Say("2001:db8::4999").size(), 1u);
}

}  // namespace
}  // namespace restante::access
