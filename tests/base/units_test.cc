#include "server/base/units.h"

#include <gtest/gtest.h>

namespace restante {
namespace {

TEST(Units, SizesAreWholeNumbersWithOneLetter) {
  const std::pair<const char*, uint64_t> cases[] = {{"0", 0},
                                                    {"1", 1},
                                                    {"4K", 4096},
                                                    {"4k", 4096},
                                                    {"50M", 52428800},
                                                    {"2G", uint64_t{2} << 30},
                                                    {"3T", uint64_t{3} << 40},
                                                    {"18446744073709551615", UINT64_MAX},
                                                    {"16777215T", uint64_t{16777215} << 40}};
  for (const auto& [text, bytes] : cases) {
    const absl::StatusOr<uint64_t> parsed = ParseSize(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(Units, WhatIsNotASizeIsNamed) {
  for (const char* text : {"", "K", "-1", "+1", " 1", "1 ", "1.5M", "1KB", "1X", "0x10", "1e3",
                           "18446744073709551616", "16777216T", "17179869184G", "99999999999999999999999"}) {
    const absl::StatusOr<uint64_t> parsed = ParseSize(text);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(parsed.status().message().find(text), absl::string_view::npos) << parsed.status();
  }
}

TEST(Units, SizesForPeopleHaveAtMostOneDecimal) {
  const std::pair<uint64_t, const char*> cases[] = {{0, "0"},
                                                    {1023, "1023"},
                                                    {1024, "1K"},
                                                    {1536, "1.5K"},
                                                    {1025, "1K"},
                                                    {10240, "10K"},
                                                    {1048575, "1M"},
                                                    {1572864, "1.5M"},
                                                    {52428800, "50M"},
                                                    {uint64_t{1} << 40, "1T"},
                                                    {UINT64_MAX, "16777216T"}};
  for (const auto& [bytes, text] : cases) EXPECT_EQ(FormatSize(bytes), text) << bytes;
}

TEST(Units, DurationsComeBackFromTheirText) {
  const std::pair<const char*, int64_t> cases[] = {
      {"0", 0},         {"250ms", 250},   {"30s", 30'000},    {"1m30s", 90'000},
      {"10m", 600'000}, {"1h", 3600'000}, {"7d", 604800'000}, {"1d2h3m4s5ms", 93784005}};
  for (const auto& [text, millis] : cases) {
    const absl::StatusOr<absl::Duration> parsed = ParseDuration(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, absl::Milliseconds(millis)) << text;
    EXPECT_EQ(restante::FormatDuration(*parsed), text);
  }
  EXPECT_EQ(restante::FormatDuration(absl::Seconds(-1)), "0");
  EXPECT_EQ(*ParseDuration("90s"), absl::Seconds(90));
}

TEST(Units, WhatIsNotADurationIsNamed) {
  for (const char* text : {"", "10", "s", "-1s", "1.5s", "1S", "1s1m", "1s1s", "10 s", "1w", "100001d", "1s ",
                           "99999999999999999999s", "9223372036854775807d"}) {
    const absl::StatusOr<absl::Duration> parsed = ParseDuration(text);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(parsed.status().message().find(text), absl::string_view::npos) << parsed.status();
  }
}

}  // namespace
}  // namespace restante
