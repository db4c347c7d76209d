#include "server/base/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace restante {
namespace {

TEST(Histogram, ABucketHasWhatIsNoMoreThanItsBound) {
  Histogram histogram({1, 2, 4});
  for (const double value : {0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 4.5, 100.0}) histogram.Observe(value);
  const Histogram::Values values = histogram.Read();
  EXPECT_THAT(values.counts, testing::ElementsAre(2, 2, 2, 2));
  EXPECT_DOUBLE_EQ(values.sum, 116);
}

}  // namespace
}  // namespace restante
