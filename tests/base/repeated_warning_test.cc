#include "server/base/repeated_warning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/fake_clock.h"

namespace restante {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(RepeatedWarningTest, IsSaidOnceInTenSecondsWithHowManyWereNot) {
  ASSERT_TRUE(InitLog("restante", "text", "info").ok());
  FakeClock clock;
  RepeatedWarning warning("something is wrong", &clock);
  const auto say = [&] {
    testing::internal::CaptureStderr();
    warning.Say({{"reason", "x"}});
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(say(), AllOf(HasSubstr("something is wrong"), HasSubstr("reason"), Not(HasSubstr("unsaid"))));
  EXPECT_EQ(say(), "");
  clock.Advance(9'999'999);
  EXPECT_EQ(say(), "");
  clock.Advance(1);
  EXPECT_THAT(say(), HasSubstr("unsaid_before=2"));
  clock.Advance(10'000'000);
  EXPECT_THAT(say(), AllOf(HasSubstr("something is wrong"), Not(HasSubstr("unsaid"))));
}

}  // namespace
}  // namespace restante
