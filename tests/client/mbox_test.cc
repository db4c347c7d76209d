// mbox files: what is written comes back, and what others write is read.
#include "client/cli/mbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"

namespace restante::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const absl::Time kArrival = absl::FromUnixSeconds(1'700'000'000);  // Tue Nov 14 22:13:20 2023

absl::StatusOr<std::vector<MboxMessage>> ReadAll(const std::string& file, uint64_t limit = 1 << 20) {
  std::istringstream in(file);
  MboxReader reader(in, "file", limit);
  std::vector<MboxMessage> messages;
  while (true) {
    absl::StatusOr<std::optional<MboxMessage>> next = reader.Next();
    if (!next.ok()) return next.status();
    if (!*next) return messages;
    messages.push_back(**std::move(next));
  }
}

std::vector<std::string> TextsOf(const std::string& file) {
  std::vector<std::string> texts;
  const auto messages = ReadAll(file);
  EXPECT_TRUE(messages.ok()) << messages.status();
  if (messages.ok()) {
    for (const MboxMessage& message : *messages) texts.push_back(message.text);
  }
  return texts;
}

TEST(Mbox, EveryTextComesBackWhateverStandsBesideIt) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  const char* parts[] = {"\r\n",
                         "\n",
                         "\r",
                         "From ",
                         ">From ",
                         ">>From ",
                         ">",
                         "x",
                         "",
                         "From bob ",
                         "From b@c Tue Nov 14 22:13:20 2023",
                         "\r\n\r\n",
                         "\n\n"};
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> texts(random() % 4 + 1);
    std::string file;
    for (std::string& text : texts) {
      for (unsigned n = random() % 8; n > 0; --n) text += parts[random() % std::size(parts)];
      if (random() % 2 == 0) text += "\r\n";
      file += ToMbox("a@b.c", kArrival, text);
    }
    ASSERT_EQ(TextsOf(file), texts) << file;
  }
}

TEST(Mbox, SenderAndTimeOfArrivalComeBack) {
  for (const char* sender :
       {"", "a@b.c", "\"x  y\"@b.c", "b Tue Nov 14 22:13:20 2023", "\xc3\xa9@b.c", "a@b.c "}) {
    const auto messages = ReadAll(ToMbox(sender, kArrival, "x\r\n"));
    ASSERT_EQ(messages->size(), 1u) << sender;
    EXPECT_EQ(messages->front().from.sender, sender);
    EXPECT_EQ(messages->front().from.date, kArrival);
  }
  EXPECT_EQ(ToMbox("", absl::FromUnixSeconds(5 * 86400), "x\r\nFrom y\r\n"),
            "From MAILER-DAEMON Tue Jan  6 00:00:00 1970\nx\n>From y\n\n");
  EXPECT_EQ(ToMbox("a\nb", kArrival, "x"), "From a?b Tue Nov 14 22:13:20 2023\r\nx\n\n");
}

TEST(Mbox, ALineBeginsAMessageOnlyWithADate) {
  const auto date_of = [](const char* line) -> int64_t {
    const std::optional<FromLine> parsed = ParseFromLine(line);
    return parsed ? absl::ToUnixSeconds(parsed->date) : -1;
  };
  EXPECT_EQ(date_of("From a@b Tue Nov 14 22:13:20 2023"), 1'700'000'000);
  EXPECT_EQ(date_of("From a@b  Tue Nov 14 22:13:20 GMT 2023"), 1'700'000'000);
  EXPECT_EQ(date_of("From a@b Tue Nov 14 23:13:20 2023 +0100"), 1'700'000'000);
  EXPECT_EQ(date_of("From 17@xxx Tue Nov 14 22:13:20 +0000 2023"), 1'700'000'000);
  EXPECT_EQ(date_of("From - Tue Nov 14 22:13 2023"), 1'699'999'980);
  EXPECT_EQ(date_of("From bob Tue Nov 14 22:13:20 2023 remote from mars"), 1'700'000'000);
  for (const char* line :
       {"From here on it is text", "From a@b", "From a@b Tue Nov 14", "From a@b Tue Nov 14 25:00:00 2023",
        "From a@b Tue Nov 32 22:13:20 2023", "From a@b Day Nov 14 22:13:20 2023",
        "from a@b Tue Nov 14 22:13:20 2023", "From a@b Tue Nov 14 22:13:20"}) {
    EXPECT_EQ(date_of(line), -1) << line;
  }
  EXPECT_EQ(ParseFromLine("From - Tue Nov 14 22:13:20 2023")->sender, "");
}

TEST(Mbox, WhatOthersWriteIsRead) {
  const std::string from = "From a@b Tue Nov 14 22:13:20 2023";
  // Without an empty line in front, and without one at the end.
  EXPECT_THAT(TextsOf(from + "\nSubject: 1\n\none\n" + from + "\ntwo\nFrom here on\n"),
              ElementsAre("Subject: 1\r\n\r\none\r\n", "two\r\nFrom here on\r\n"));
  // CRLF line ends.
  EXPECT_THAT(TextsOf(from + "\r\none\r\n>From x\r\n\r\n" + from + "\r\ntwo\r\n\r\n"),
              ElementsAre("one\r\nFrom x\r\n", "two\r\n"));
  // Lengths that lie: too long, too short.
  EXPECT_THAT(TextsOf(from + "\nContent-Length: 1000\n\none\n\n" + from + "\nContent-Length: 1\n\ntwo\n\n"),
              ElementsAre("Content-Length: 1000\r\n\r\none\r\n", "Content-Length: 1\r\n\r\ntwo\r\n"));
  EXPECT_THAT(TextsOf("\n\n" + from + "\n\n" + from + "\nx\ry\n\n"), ElementsAre("", "x\ry\r\n"));
  EXPECT_THAT(TextsOf(""), ElementsAre());
  EXPECT_THAT(std::string(ReadAll("Subject: no mbox\n").status().message()), HasSubstr("file: is no mbox"));
}

TEST(Mbox, WhatIsTooLargeIsPassedOverAndCounted) {
  const std::string long_line(5'000'000, 'y');
  const auto messages =
      ReadAll(absl::StrCat(ToMbox("a@b.c", kArrival, "1\r\n"), ToMbox("a@b.c", kArrival, long_line),
                           ToMbox("a@b.c", kArrival, "3\r\n")),
              1'000'000);
  ASSERT_EQ(messages->size(), 3u);
  EXPECT_EQ((*messages)[0].text, "1\r\n");
  EXPECT_EQ((*messages)[1].too_large, 5'000'002u);
  EXPECT_EQ((*messages)[2].text, "3\r\n");
  EXPECT_EQ((*messages)[2].number, 3u);
  EXPECT_THAT(TextsOf(ToMbox("a@b.c", kArrival, long_line.substr(0, 1'048'000) + "From\r\n")).size(), 1u);
}

}  // namespace
}  // namespace restante::cli
