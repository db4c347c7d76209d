#include "server/mail/quota.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/contract/describe.h"

namespace restante::quota {
namespace {

using engine::Describe;
using engine::Unlimited;
using engine::ValueOf;

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

TEST(EffectiveLimit, TheFirstThatIsNotInheritedCounts) {
  const stored::Limit inherit;
  EXPECT_EQ(Effective(ValueOf(1), ValueOf(2), ValueOf(3)), 1u);
  EXPECT_EQ(Effective(inherit, ValueOf(2), ValueOf(3)), 2u);
  EXPECT_EQ(Effective(inherit, inherit, ValueOf(3)), 3u);
  EXPECT_EQ(Effective(inherit, inherit, inherit), kUnlimited);
  EXPECT_EQ(Effective(Unlimited(), ValueOf(2), ValueOf(3)), kUnlimited);
  EXPECT_EQ(Effective(inherit, Unlimited(), ValueOf(3)), kUnlimited);
  EXPECT_EQ(Effective(inherit, inherit, Unlimited()), kUnlimited);
}

TEST(EffectiveLimit, ZeroIsALimit) { EXPECT_EQ(Effective(ValueOf(0), ValueOf(2), ValueOf(3)), 0u); }

TEST(EffectiveLimit, NoValueIsAboveUnlimited) {
  EXPECT_EQ(Effective(ValueOf(kMax), {}, {}), kUnlimited);
  EXPECT_EQ(Effective({}, {}, ValueOf(kUnlimited + 1)), kUnlimited);
}

struct Case {
  uint64_t limit, used, reserved, grace, needed;
  uint64_t room;
  bool fits;
  bool full_without_reservations;
};

TEST(QuotaArithmetic, IsExactForAnyAmounts) {
  const Case cases[] = {
      // limit, used, reserved, grace, needed, room, fits, full
      {100, 0, 0, 0, 100, 100, true, false},
      {100, 0, 0, 0, 101, 100, false, true},
      {100, 40, 30, 0, 30, 30, true, false},
      {100, 40, 30, 0, 31, 30, false, false},
      {100, 40, 30, 0, 60, 30, false, false},
      {100, 40, 30, 0, 61, 30, false, true},
      {100, 40, 30, 5, 35, 35, true, false},
      {100, 40, 30, 5, 65, 35, false, false},
      {100, 40, 30, 5, 66, 35, false, true},
      {100, 100, 0, 0, 0, 0, true, false},
      {100, 100, 0, 0, 1, 0, false, true},
      // A limit that was lowered: even nothing does not fit.
      {100, 101, 0, 0, 0, 0, false, true},
      {100, 60, 50, 0, 0, 0, false, false},
      {0, 0, 0, 0, 0, 0, true, false},
      {0, 0, 0, 0, 1, 0, false, true},
      // The edges of 64 bits.
      {kUnlimited, 0, 0, 0, kMax, kUnlimited, false, true},
      {kUnlimited, 0, 0, 0, kUnlimited, kUnlimited, true, false},
      {kUnlimited, 1, 0, 0, kUnlimited, kUnlimited - 1, false, true},
      {kUnlimited, 0, 1, 0, kUnlimited, kUnlimited - 1, false, false},
      {kUnlimited, kMax, kMax, 0, kMax, 0, false, true},
      {kUnlimited, kMax, kMax, kMax, kMax, 0, false, true},
      {kUnlimited, 0, kMax, kMax, kUnlimited, kUnlimited, true, false},
      {kMax, kMax, 0, 0, 0, 0, true, false},
      {kMax, 1, 0, 0, kMax, kMax - 1, false, true},
      {kMax, 0, 0, kMax, kMax, kMax, true, false},
      {kMax, kMax, kMax, kMax, 0, 0, true, false},
      {kMax, kMax, kMax, kMax, 1, 0, false, false},
      {10, kMax - 5, 20, 0, 0, 0, false, true},
      {10, 5, kMax - 2, 0, 3, 0, false, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::Message() << c.limit << "+" << c.grace << ": " << c.used << " used, " << c.reserved
                                    << " reserved, " << c.needed << " needed");
    const Scope scope{.limit = c.limit, .used = c.used, .reserved = c.reserved, .grace = c.grace};
    EXPECT_EQ(Room(scope), c.room);
    const auto shortage = Lacks(scope, c.needed);
    EXPECT_EQ(!shortage.has_value(), c.fits);
    if (shortage) {
      EXPECT_EQ(shortage->full_without_reservations, c.full_without_reservations);
    }
  }
}

TEST(QuotaArithmetic, AShortageExplainsItself) {
  const Scope pool{
      .kind = engine::Shortage::Scope::kDomain, .limit = 100, .used = 60, .reserved = 30, .grace = 5};
  EXPECT_EQ(Describe(Lacks(pool, 20).value()), "domain: needs 20 bytes, 60 used and 30 reserved of 100");
  const Scope messages{.counts_messages = true, .limit = 10, .used = 10};
  EXPECT_EQ(Describe(Lacks(messages, 1).value()),
            "mailbox: needs 1 messages, 10 used and 0 reserved of 10, full");
}

// --- thresholds ------------------------------------------------------------------

const std::vector<uint32_t> kPercents = {80, 90, 95, 100};

TEST(Threshold, HoldsFromItsShareOfTheLimitOn) {
  const auto at = [](uint64_t used) { return Threshold(kPercents, 2, 0, {{used, 1000}}); };
  EXPECT_EQ(at(799), 0u);
  EXPECT_EQ(at(800), 80u);
  EXPECT_EQ(at(899), 80u);
  EXPECT_EQ(at(999), 95u);
  EXPECT_EQ(at(1000), 100u);
  EXPECT_EQ(at(5000), 100u);
}

TEST(Threshold, IsLeftOnlyBelowItsSlack) {
  const auto at = [](uint32_t before, uint64_t used) {
    return Threshold(kPercents, 2, before, {{used, 1000}});
  };
  EXPECT_EQ(at(90, 880), 90u);
  EXPECT_EQ(at(90, 879), 80u);
  EXPECT_EQ(at(90, 780), 80u) << "it was passed on the way up";
  EXPECT_EQ(at(90, 779), 0u);
  EXPECT_EQ(at(80, 899), 80u);
  EXPECT_EQ(at(100, 940), 95u);
  EXPECT_EQ(at(100, 930), 95u);
  EXPECT_EQ(at(100, 929), 90u);
}

TEST(Threshold, OneThatIsNoneAnyMoreStaysUntilItIsLeft) {
  EXPECT_EQ(Threshold({50}, 2, 90, {{900, 1000}}), 90u);
  EXPECT_EQ(Threshold({50}, 2, 90, {{870, 1000}}), 50u);
}

TEST(Threshold, LooksAtTheFullestAndPastWhatIsUnlimitedOrEmpty) {
  EXPECT_EQ(Threshold(kPercents, 2, 0, {{1, 1000}, {9, 10}}), 90u);
  EXPECT_EQ(Threshold(kPercents, 2, 0, {{UINT64_MAX, kUnlimited}, {0, 0}}), 0u);
  EXPECT_EQ(Threshold(kPercents, 2, 0, {{1, 0}}), 100u);
  EXPECT_EQ(Threshold(kPercents, 2, 0, {{UINT64_MAX, kUnlimited - 1}}), 100u);
}

TEST(Threshold, OneAsSmallAsItsSlackHasNone) {
  EXPECT_EQ(Threshold({1}, 2, 1, {{1, 1000}}), 0u);
  EXPECT_EQ(Threshold({1}, 2, 1, {{10, 1000}}), 1u);
}

}  // namespace
}  // namespace restante::quota
