// BDAT (RFC 3030): sizes, bounds, and any mixture of chunks and splits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/smtp/chunk_decoder.h"
#include "client/smtp/session.h"
#include "tests/smtp/machine.h"

namespace restante::smtp {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// Speaks up to the recipient.
void OpenMessage(Machine* machine, const std::string& hello = "EHLO c\r\n") {
  machine->Send(hello + "MAIL FROM:<a@b.c>\r\nRCPT TO:<alice@example.org>\r\n");
  ASSERT_THAT(machine->Output(), EndsWith("250 2.1.5 <alice@example.org>: Recipient ok\r\n"));
}

TEST(ParseChunk, TakesASizeAndLast) {
  const std::vector<std::pair<std::string, uint64_t>> sizes = {
      {"0", 0}, {"007", 7}, {"00000000000000000001", 1}, {"18446744073709551614", UINT64_MAX - 1}};
  for (const auto& [digits, size] : sizes) {
    for (const char* last : {"", " LAST", "\t last"}) {
      const std::optional<Chunk> chunk = ParseChunk(digits + last);
      ASSERT_TRUE(chunk.has_value()) << digits << last;
      EXPECT_EQ(chunk->size, size);
      EXPECT_EQ(chunk->last, *last != '\0');
    }
  }
}

TEST(Chunking, AfterABadSizeNothingIsACommand) {
  const std::string lines[] = {
      "BDAT",
      "BDAT LAST",
      "BDAT -1 LAST",
      "BDAT +1 LAST",
      "BDAT 0x10 LAST",
      "BDAT 1K LAST",
      "BDAT 1.0 LAST",
      "BDAT 1,000 LAST",
      "BDAT 5LAST",
      "BDAT 5 LASTING",
      "BDAT 5 LAST LAST",
      "BDAT 5 5",
      "BDAT LAST 5",
      "BDAT \xd9\xa5 LAST",               // A digit, but not of ours.
      "BDAT 000000000000000000005 LAST",  // 21 digits.
      "BDAT 18446744073709551615 LAST",   // 2^64-1
      "BDAT 18446744073709551621 LAST",   // 2^64+5
      "BDAT 99999999999999999999 LAST",
      std::string("BDAT 5\0 LAST", 12),
      "BDAT 5\r LAST",
      "bdat 5\v",
      absl::StrCat("BDAT ", std::string(5000, ' '), "5 LAST"),
  };
  for (const std::string& line : lines) {
    for (const char* end : {"\r\n", "\n"}) {
      Machine machine({});
      OpenMessage(&machine);
      machine.Send(line + end + "QUIT\r\nNOOP\r\n");
      EXPECT_THAT(machine.Output(), testing::MatchesRegex("521 5.5.4 [^\r]*\r\n")) << line;
      EXPECT_TRUE(machine.session().closed()) << line;
      EXPECT_THAT(machine.store().stored, IsEmpty());
      EXPECT_EQ(machine.store().open, 0u);
    }
  }
}

TEST(Chunking, ABareNewlineBehindAGoodSizeEndsTheSessionToo) {
  Machine machine({});
  OpenMessage(&machine);
  machine.Send("BDAT 6 LAST\nQUIT\r\n");
  EXPECT_THAT(machine.Output(), testing::MatchesRegex("521 5.5.4 [^\r]*\r\n"));
  EXPECT_TRUE(machine.session().closed());
}

TEST(Chunking, ALargeChunkLeavesInPiecesAndIsNotHeld) {
  constexpr size_t kChunk = 50 << 20;
  Machine machine({});
  OpenMessage(&machine);
  machine.Send(absl::StrCat("BDAT ", kChunk, "\r\n"));
  const std::string piece(1 << 16, '\n');
  for (size_t sent = 0; sent < kChunk; sent += piece.size()) {
    const uint64_t before = machine.session().progress();
    machine.session().Input(piece);
    machine.Run();
    ASSERT_LE(machine.session().buffered(), 2 * piece.size());
    ASSERT_GT(machine.session().progress(), before);
  }
  EXPECT_EQ(machine.Output(), absl::StrCat("250 2.0.0 ", kChunk, " octets received\r\n"));
  machine.Send("BDAT 3 LAST\r\nend");
  EXPECT_THAT(machine.Output(), StartsWith("250 2.0.0 Stored as "));
  EXPECT_EQ(machine.records().back().size, kChunk + 3);
  EXPECT_THAT(machine.store().violations, IsEmpty());
}

TEST(Chunking, AStoreThatGrantsNothingStopsTheReading) {
  Machine machine({});
  machine.store().auto_credit = false;
  OpenMessage(&machine);
  machine.Send("BDAT 1000000 LAST\r\n");
  const std::string piece(65536, 'x');
  size_t sent = 0;
  while (machine.session().wants_input()) {
    machine.Send(piece);
    sent += piece.size();
    ASSERT_LE(sent, 512u * 1024) << "reads on";
    ASSERT_LE(machine.session().buffered(), 2 * 65536u);
  }
  EXPECT_EQ(machine.store().chunk_octets, machine.store().window);
  machine.store().Grant(uint64_t{1} << 30);
  machine.Run();
  EXPECT_TRUE(machine.session().wants_input());
  machine.Send(std::string(1'000'000 - sent, 'x'));
  EXPECT_THAT(machine.Output(), StartsWith("250 2.0.0 Stored as "));
  EXPECT_THAT(machine.store().violations, IsEmpty());
}

// What is gathered when a chunk ends must leave room for the next one.
TEST(Chunking, ChunksOfEverySizeAroundTheBufferGoOn) {
  for (const size_t size : {32767u, 32768u, 65535u - 400, 65536u, 65537u}) {
    for (size_t less = 0; less < 200; less += size == 65536 ? 1 : 50) {
      Machine machine({});
      machine.store().auto_credit = false;
      machine.store().window = 1 << 20;
      OpenMessage(&machine);
      const std::string command = absl::StrCat("BDAT ", size - less, "\r\n");
      for (int i = 0; i < 3; ++i) {
        machine.session().Input(command + std::string(size - less, 'x'));
        machine.Run();
      }
      machine.Send("BDAT 0 LAST\r\n");
      ASSERT_EQ(machine.store().stored.size(), 1u) << size - less;
      ASSERT_THAT(machine.store().stored[0].text, EndsWith("\r\n" + std::string(3 * (size - less), 'x')));
    }
  }
}

TEST(Chunking, ARefusedChunkWithoutATransactionCostsNoMemory) {
  Machine machine({});
  machine.Output();
  machine.Send("BDAT 18446744073709551614 LAST\r\n");
  const std::string piece(65536, 'x');
  for (int i = 0; i < 100; ++i) machine.session().Input(piece);
  EXPECT_EQ(machine.session().buffered(), 0u);
  EXPECT_EQ(machine.Output(), "");
}

TEST(Chunking, TheHeaderSaysAndTheLogCountsWhatCame) {
  Machine machine({});
  machine.Send(
      "EHLO c\r\nMAIL FROM:<a@b.c> SIZE=12\r\nRCPT TO:<alice@x>\r\nBDAT 5\r\n01234BDAT 7 LAST\r\n56789\r\n");
  ASSERT_EQ(machine.store().stored.size(), 1u);
  const FakeStore::Stored& stored = machine.store().stored[0];
  EXPECT_THAT(stored.text, StartsWith("Received: from c ([192.0.2.7])"));
  EXPECT_THAT(stored.text, HasSubstr(" with ESMTP\r\n"));
  EXPECT_EQ(stored.begin.declared_size(), stored.text.size());
  EXPECT_EQ(machine.store().chunks, 1u) << "a small message is one chunk for the store";
  EXPECT_EQ(machine.records().back().size, 12u);
}

// Messages by BDAT and DATA in any order, refused and stored ones, with texts that
// look like commands and ends.
struct Mixture {
  explicit Mixture(uint32_t seed) : random(seed) {
    octets = lmtp() ? "LHLO c\r\n" : "EHLO c\r\n";
    const int messages = 3 + Pick(5);
    for (int i = 0; i < messages; ++i) AddMessage();
    octets += "QUIT\r\n";
  }

  bool lmtp() const { return flags & 1; }
  int Pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); }

  std::string Text() {
    static const std::string kParts[] = {
        "\r\n.\r\n", "\r",    "\n", ".",    "BDAT 5 LAST\r\n", "QUIT\r\n",
        "RSET\r\n",  "\n.\n", "a",  "\xff", "\r\n..",          std::string(1, '\0')};
    std::string text;
    for (int n = Pick(12); n > 0; --n) text += kParts[Pick(std::size(kParts))];
    return text;
  }

  void AddMessage() {
    if (Pick(8) > 0) octets += "MAIL FROM:<a@b.c>\r\n";
    for (int n = Pick(3); n >= 0; --n) octets += Pick(4) > 0 ? "RCPT TO:<a@x>\r\n" : "RCPT TO:<no@x>\r\n";
    if (Pick(3) == 0) {
      octets += "DATA\r\n";
      // It may be refused, and then this is commands: the same ones for every split.
      octets += "text\r\n.\r\n";
      return;
    }
    for (int n = Pick(4); n > 0; --n) {
      const std::string text = Text();
      absl::StrAppend(&octets, "BDAT ", text.size(), "\r\n", text);
      if (Pick(12) == 0)
        octets += std::vector<std::string>{"RSET\r\n", "NOOP\r\n", "DATA\r\n", "RCPT TO:<a@x>\r\n"}[Pick(4)];
    }
    const std::string text = Text();
    absl::StrAppend(&octets, "BDAT ", text.size(), Pick(8) > 0 ? " LAST" : "", "\r\n", text);
  }

  std::mt19937 random;
  uint32_t flags = random();
  std::string octets;
};

struct Heard {
  std::string replies;
  std::vector<std::string> texts;
  bool operator==(const Heard&) const = default;
};

Heard Hear(const Mixture& mixture, std::vector<size_t> splits) {
  SessionOptions options;
  options.protocol = mixture.lmtp() ? Protocol::kLmtp : Protocol::kSmtp;
  options.bare_newline = mixture.flags & 2 ? BareNewline::kRefuse : BareNewline::kKeep;
  options.max_errors = 1000;
  Machine machine(options, std::move(splits));
  machine.store().recipients["no@x"] = v1::OUTCOME_NO_SUCH_MAILBOX;
  machine.store().window = mixture.flags & 4 ? 5 : 1 << 20;
  machine.Send(mixture.octets);
  Heard heard{machine.Output(), {}};
  for (const FakeStore::Stored& stored : machine.store().stored) heard.texts.push_back(stored.text);
  EXPECT_THAT(machine.store().violations, IsEmpty());
  EXPECT_TRUE(machine.session().closed());
  EXPECT_EQ(machine.store().open, 0u);
  return heard;
}

TEST(Chunking, AnySplitOfTheOctetsGivesTheSameReplies) {
  const uint32_t seed = std::random_device()();
  size_t stored = 0;
  for (uint32_t i = 0; i < 200; ++i) {
    SCOPED_TRACE(testing::Message() << "seed " << seed + i);
    Mixture mixture(seed + i);
    const Heard whole = Hear(mixture, {});
    ASSERT_THAT(whole.replies, HasSubstr("221 2.0.0 "));
    stored += whole.texts.size();
    for (int round = 0; round < 5; ++round) {
      std::vector<size_t> splits;
      for (int n = 1 + mixture.Pick(20); n > 0; --n) {
        splits.push_back(static_cast<size_t>(mixture.Pick(static_cast<int>(mixture.octets.size()))));
      }
      const Heard split = Hear(mixture, splits);
      ASSERT_EQ(split.replies, whole.replies);
      ASSERT_EQ(split.texts, whole.texts);
    }
  }
  EXPECT_GT(stored, 100u);
}

}  // namespace
}  // namespace restante::smtp
