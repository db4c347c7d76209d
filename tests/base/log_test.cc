#include "server/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace restante {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Line(bool json, absl::string_view text, const std::vector<LogField>& fields) {
  return FormatLogLine(json, 1'700'000'000'123'456, LogLevel::kInfo, "restante-store", text, fields);
}

TEST(Log, ATextLineHasTimeLevelProgramTextAndFields) {
  EXPECT_EQ(
      Line(false, "transaction", {{"client", "192.0.2.1"}, {"size", 42}, {"sender", ""}, {"tls", false}}),
      "2023-11-14T22:13:20.123Z info restante-store: transaction client=192.0.2.1 size=42 sender=\"\" "
      "tls=false");
}

TEST(Log, AJsonLineQuotesTextAndNotNumbers) {
  EXPECT_EQ(
      Line(true, "transaction", {{"client", "192.0.2.1"}, {"size", uint64_t{UINT64_MAX}}, {"tls", true}}),
      "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"program\":\"restante-store\","
      "\"text\":\"transaction\",\"client\":\"192.0.2.1\",\"size\":18446744073709551615,\"tls\":true}");
}

TEST(Log, AHostileValueForgesNeitherLineNorFieldNorTerminalSequence) {
  const std::string hostile("a\" outcome=stored\r\n\x1b[2J\\\t\x00z", 27);
  EXPECT_THAT(Line(false, "t", {{"helo", hostile}}),
              HasSubstr(" helo=\"a\\\" outcome=stored\\r\\n\\u001b[2J\\\\\\t\\u0000z\""));
  EXPECT_THAT(Line(true, "t", {{"helo", hostile}}),
              HasSubstr("\"helo\":\"a\\\" outcome=stored\\r\\n\\u001b[2J\\\\\\t\\u0000z\"}"));
  EXPECT_THAT(Line(false, "two\nlines", {}), HasSubstr("two\\nlines"));
  EXPECT_THAT(Line(false, "t", {{"k", "a=b"}}), HasSubstr("k=\"a=b\""));
}

TEST(Log, OnlyHarmlessUtf8StaysAsItIs) {
  const std::pair<const char*, std::pair<const char*, const char*>> cases[] = {
      {"gr\xc3\xbc\xc3\x9f", {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}},
      {"\xf0\x9f\x93\xac", {"\xf0\x9f\x93\xac", "\xf0\x9f\x93\xac"}},
      {"\xff", {"\\xff", "\\ufffd"}},
      {"\xc0\xaf", {"\\xc0\\xaf", "\\ufffd\\ufffd"}},
      {"\xe0\x80\xaf", {"\\xe0\\x80\\xaf", "\\ufffd\\ufffd\\ufffd"}},
      {"\xed\xa0\x80", {"\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd"}},
      {"\xf4\x90\x80\x80", {"\\xf4\\x90\\x80\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}},
      {"x\xe2\x82", {"x\\xe2\\x82", "x\\ufffd\\ufffd"}},
      {"\xc2\x9b", {"\\u009b", "\\u009b"}},
      {"\xe2\x80\xa8", {"\\u2028", "\\u2028"}},
      {"\xe2\x80\xae", {"\\u202e", "\\u202e"}}};
  for (const auto& [value, shown] : cases) {
    EXPECT_THAT(Line(false, "t", {{"k", value}}), HasSubstr(std::string("k=\"") + shown.first + "\""));
    EXPECT_THAT(Line(true, "t", {{"k", value}}), HasSubstr(std::string("\"k\":\"") + shown.second + "\"}"));
  }
}

TEST(Log, LinesBelowTheLevelAreNotWritten) {
  ASSERT_TRUE(InitLog("restante-store", "json", "warning").ok());
  testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, "quiet");
  Log(LogLevel::kWarning, "loud", {{"k", 1}});
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_THAT(written, Not(HasSubstr("quiet")));
  EXPECT_THAT(written,
              HasSubstr("\"level\":\"warning\",\"program\":\"restante-store\",\"text\":\"loud\",\"k\":1}\n"));
  EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
  EXPECT_TRUE(LogEnabled(LogLevel::kError));
}

TEST(Log, NoLevelHidesAnAuditLine) {
  ASSERT_TRUE(InitLog("restante-store", "text", "error").ok());
  testing::internal::CaptureStderr();
  Log(LogLevel::kAudit, "changed");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(" audit restante-store: changed\n"));
}

TEST(Log, UnknownFormatsAndLevelsAreRefused) {
  EXPECT_THAT(std::string(InitLog("p", "xml", "info").message()), HasSubstr("\"xml\" is none of text, json"));
  EXPECT_THAT(std::string(InitLog("p", "text", "loud").message()), HasSubstr("\"loud\" is none of"));
}

}  // namespace
}  // namespace restante
