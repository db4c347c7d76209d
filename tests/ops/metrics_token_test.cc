#include "server/ops/metrics_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace restante::ops {
namespace {

using ::testing::HasSubstr;

constexpr char kOld[] = "the-token-of-yesterday-1";
constexpr char kNew[] = "the-token-of-tomorrow-22";

class MetricsTokenTest : public ::testing::Test {
 protected:
  MetricsTokenTest() { Write(kOld); }
  ~MetricsTokenTest() override { std::filesystem::remove(file_); }

  void Write(const std::string& text) { std::ofstream(file_) << text; }

  const std::string file_ =
      testing::TempDir() + testing::UnitTest::GetInstance()->current_test_info()->name() + ".token";
};

TEST_F(MetricsTokenTest, OpensWithTheTokenOnly) {
  Write(std::string("  ") + kOld + "\n");
  auto token = MetricsToken::Load(file_);
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_TRUE((*token)->Is(kOld));
  for (const std::string password : {"", kNew, "the-token-of-yesterday-", "the-token-of-yesterday-12"}) {
    EXPECT_FALSE((*token)->Is(password)) << password;
  }
}

TEST_F(MetricsTokenTest, TakesUpANewOneAndKeepsTheOldOneWhenTheFileIsOfNoUse) {
  auto token = MetricsToken::Load(file_);
  ASSERT_TRUE(token.ok()) << token.status();
  for (const char* useless : {"", "short"}) {
    Write(useless);
    EXPECT_TRUE((*token)->Is(kOld)) << useless;
    EXPECT_FALSE((*token)->Is(useless));
  }
  std::filesystem::remove(file_);
  EXPECT_TRUE((*token)->Is(kOld));
  Write(kNew);
  EXPECT_TRUE((*token)->Is(kNew));
  EXPECT_FALSE((*token)->Is(kOld));
}

TEST_F(MetricsTokenTest, HasToBeThereAtTheStart) {
  Write("short");
  EXPECT_THAT(std::string(MetricsToken::Load(file_).status().message()),
              HasSubstr("a token has 22 to 512 characters, this one 5"));
  EXPECT_EQ(MetricsToken::Load("/nonexistent").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(NoMetricsToken, AsksForNothing) { EXPECT_EQ(MetricsToken::Check(nullptr), nullptr); }

}  // namespace
}  // namespace restante::ops
