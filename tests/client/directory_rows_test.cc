// A directory's file, as CSV and as JSON lines.
#include "client/cli/directory_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace restante::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

struct File {
  explicit File(const std::string& text) {
    std::istringstream in(text);
    EXPECT_TRUE(ReadDirectoryRows(in, "f", &rows, &problems).ok());
  }
  std::vector<DirectoryRow> rows;
  std::vector<std::string> problems;
};

TEST(DirectoryRows, CsvHasItsColumnsNamedOnTheFirstLine) {
  const File file(
      "\xEF\xBB\xBF"
      "bytes,mailbox,domain,catch_all,alias\r\n"
      "1G,alice@example.org,,,\r\n"
      ",,example.org,\"alice@example.org\",\r\n"
      "\r\n"
      ",\"al\"\"ice,\n@example.org\",,,info@example.org\r\n"
      ",bob@example.org,,,");
  EXPECT_THAT(file.problems, IsEmpty());
  ASSERT_EQ(file.rows.size(), 4u);
  EXPECT_EQ(file.rows[0].kind, DirectoryRow::Kind::kMailbox);
  EXPECT_EQ(file.rows[0].line, 2u);
  EXPECT_THAT(file.rows[0].fields, ElementsAre(Pair("bytes", "1G")));
  EXPECT_EQ(file.rows[1].kind, DirectoryRow::Kind::kDomain);
  EXPECT_EQ(file.rows[1].name, "example.org");
  EXPECT_THAT(file.rows[1].fields, ElementsAre(Pair("catch_all", "alice@example.org")));
  EXPECT_EQ(file.rows[2].kind, DirectoryRow::Kind::kAlias);
  EXPECT_EQ(file.rows[2].line, 5u);
  EXPECT_THAT(file.rows[2].fields, ElementsAre(Pair("mailbox", "al\"ice,\n@example.org")));
  EXPECT_EQ(file.rows[3].line, 7u);
}

TEST(DirectoryRows, JsonHasAnObjectOnEachLineAndTakesWhatListPrints) {
  const File file(
      R"({"mailbox":"alice@example.org","state":"hold","used":9,"reserved":0,"bytes":1073741824,)"
      R"("effective_bytes":1073741824,"held_messages":3,"messages":"inherit","effective_messages":"unlimited",)"
      R"("reserved_messages":0,"id":"0000000000000002","uid_validity":1,"uid_next":4})"
      "\n\n"
      R"({"domain": "example.org", "max_bytes": "unlimited", "catch_all": null, "over_quota": "permfail"})");
  EXPECT_THAT(file.problems, IsEmpty());
  ASSERT_EQ(file.rows.size(), 2u);
  EXPECT_THAT(file.rows[0].fields, UnorderedElementsAre(Pair("state", "hold"), Pair("bytes", "1073741824"),
                                                        Pair("messages", "inherit")));
  EXPECT_EQ(file.rows[1].line, 3u);
  EXPECT_THAT(file.rows[1].fields,
              UnorderedElementsAre(Pair("max_bytes", "unlimited"), Pair("over_quota", "permfail")));
}

TEST(DirectoryRows, AWrongRowIsNamedByItsPlaceAndTheOthersAreReadOn) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"mailbox":"alice"})", "f:1: `alice` is no address"},
      {R"({"domain":"a@b"})", "f:1: `a@b` is no domain"},
      {R"({"mailbox":"a@b","bytes":"1Q"})", "f:1: bytes: \"1Q\" is not a size"},
      {R"({"mailbox":"a@b","messages":"1K"})", "f:1: messages: `1K` is not a number"},
      {R"({"mailbox":"a@b","state":"on"})", "f:1: state: `on` is not active"},
      {R"({"mailbox":"a@b","limit":"1G"})", "f:1: a mailbox has no limit (bytes, messages, state)"},
      {R"({"mailbox":"a@b","bytes":-1})", "f:1: bytes: -1 is not a whole number"},
      {R"({"mailbox":"a@b","bytes":1.5})", "f:1: bytes: 1.5 is not a whole number"},
      {R"({"mailbox":"a@b","bytes":true})", "f:1: bytes: is neither a string nor a number"},
      {R"({"domain":"b","max_bytes":"inherit"})", "f:1: max_bytes: a domain has nothing to inherit"},
      {R"({"domain":"b","over_quota":"bounce"})", "f:1: over_quota: `bounce`"},
      {R"({"domain":"b","catch_all":"alice"})", "f:1: catch_all: `alice` is no address"},
      {R"({"alias":"a@b"})", "f:1: an alias needs its mailbox"},
      {R"({"bytes":"1G"})", "f:1: has none of domain, mailbox, alias"},
      {R"({"mailbox":"a@b")", "f:1: is no JSON object: "},
      {"mailbox,bytes\na@b\n", "f:2: has 1 values for 2 columns"},
      {"mailbox\n\"a@b\n", "f:2: a quoted value does not end"},
      {"mailbox\na\"@b\n", "f:2: a quote stands within a value"},
      {"mailbox\n\"a@b\"x\n", "f:2: a quote stands within a value"},
      {"mailbox,size\na@b,1G\n", "f:2: a mailbox has no size"},
      {"mailbox\nA@b\na@B\n", "f:3: mailbox a@b: was on line 2 already"},
  };
  for (const auto& [text, problem] : cases) {
    const File file(text);
    ASSERT_EQ(file.problems.size(), 1u) << text;
    EXPECT_THAT(file.problems[0], HasSubstr(problem)) << text;
  }
  const File file("{\"mailbox\":\"a\"}\n{\"mailbox\":\"a@b\"}\n{\"domain\":1}\n{}\n");
  EXPECT_EQ(file.rows.size(), 2u);
  EXPECT_EQ(file.problems.size(), 2u);
}

}  // namespace
}  // namespace restante::cli
