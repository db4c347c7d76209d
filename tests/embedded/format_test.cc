// Records, bodies and keys as octets.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/key_table.h"
#include "server/engine/embedded/record.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

constexpr uint32_t kStore = 0xC0FFEE;

TEST(Crc32c, GivesTheValueThatEverybodyAgreesOn) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), 0xE3069283u);
}

struct Encoded {
  RecordHeader header;
  std::string payload;
};

Encoded Encode(const std::string& text, size_t step) {
  BodyEncoder encoder;
  std::vector<std::string> blocks;
  for (size_t at = 0; at < text.size(); at += step) encoder.Append(text.substr(at, step), &blocks);
  encoder.Finish(&blocks);
  Encoded encoded{.header = encoder.Header(7, kStore), .payload = {}};
  for (const std::string& block : blocks) encoded.payload += block;
  encoded.payload += encoder.table();
  return encoded;
}

absl::StatusOr<std::string> Decode(const Encoded& encoded, uint64_t offset, uint64_t length) {
  return DecodeRange(
      encoded.header,
      [&](uint64_t at, uint64_t bytes) -> absl::StatusOr<std::string> {
        return encoded.payload.substr(at, bytes);
      },
      offset, length);
}

TEST(Record, EveryFlippedBitOfAHeaderIsFound) {
  RecordHeader header{.kind = RecordKind::kBody,
                      .codec = Codec::kBlocks,
                      .payload_bytes = 5,
                      .size = 6,
                      .id = 7,
                      .payload_crc32c = 8,
                      .content_crc32c = 9,
                      .store = kStore};
  const std::string octets = EncodeHeader(&header);
  ASSERT_EQ(octets.size(), kHeaderBytes);
  const auto decoded = DecodeHeader(octets, kStore);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->id, 7u);
  EXPECT_EQ(decoded->header_crc32c, header.header_crc32c);
  for (size_t bit = 0; bit < octets.size() * 8; ++bit) {
    std::string flipped = octets;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(DecodeHeader(flipped, kStore).ok()) << "bit " << bit;
  }
  EXPECT_FALSE(DecodeHeader(octets, kStore + 1).ok());
}

TEST(Body, EveryFlippedBitOfASmallOneIsFound) {
  for (const std::string& text : {std::string("plain"), std::string(400, 'x')}) {
    const Encoded encoded = Encode(text, 1000);
    ASSERT_TRUE(CheckPayload(encoded.header, encoded.payload).ok());
    for (size_t bit = 0; bit < encoded.payload.size() * 8; ++bit) {
      Encoded flipped = encoded;
      flipped.payload[bit / 8] = static_cast<char>(flipped.payload[bit / 8] ^ (1 << bit % 8));
      EXPECT_EQ(CheckPayload(flipped.header, flipped.payload).code(), absl::StatusCode::kDataLoss)
          << "bit " << bit;
      EXPECT_EQ(Decode(flipped, 0, text.size()).status().code(), absl::StatusCode::kDataLoss)
          << "bit " << bit;
    }
  }
}

TEST(Body, ComesBackInAnyRangeHoweverItWasAppended) {
  const std::string sentence = "All that is gold does not glitter.\r\n";
  std::string mixed = Noise(kBlockBytes + 17, 1);
  while (mixed.size() < 3 * kBlockBytes) mixed += sentence;
  for (const std::string& text :
       {std::string(), std::string("x"), std::string(kBlockBytes, 'a'), Noise(kBlockBytes, 2), mixed}) {
    for (const size_t step : {size_t{4096}, kBlockBytes, size_t{1} << 22}) {
      const Encoded encoded = Encode(text, step);
      EXPECT_EQ(encoded.header.content_crc32c, Crc32c(text));
      ASSERT_TRUE(CheckPayload(encoded.header, encoded.payload).ok());
      for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{kBlockBytes - 1},
                                    uint64_t{kBlockBytes}, uint64_t{2 * kBlockBytes + 5}}) {
        for (const uint64_t length :
             {uint64_t{0}, uint64_t{1}, uint64_t{kBlockBytes + 2}, uint64_t{1} << 30}) {
          const auto part = Decode(encoded, offset, length);
          ASSERT_TRUE(part.ok()) << part.status();
          EXPECT_TRUE(*part == (offset < text.size() ? text.substr(offset, length) : ""))
              << text.size() << " " << step << " " << offset << " " << length;
        }
      }
    }
  }
}

TEST(Body, IsCompressedWhereThatHelpsAndOnlyThere) {
  EXPECT_LT(Encode(std::string(kBlockBytes, 'a'), kBlockBytes).payload.size(), 1000u);
  EXPECT_EQ(Encode(Noise(10'000, 3), 4096).payload.size(), 10'000u + 8);
}

TEST(KeyTable, ShowsEachReaderItsOwnMoment) {
  KeyTable keys;
  EXPECT_TRUE(keys.Put("b1", "one", 5));
  EXPECT_FALSE(keys.Put("b1", "uno", 5));
  EXPECT_TRUE(keys.Put("b1", std::nullopt, 7));
  EXPECT_FALSE(keys.AsOf("b1", 4).known);
  EXPECT_EQ(*keys.AsOf("b1", 6).value, "uno");
  EXPECT_TRUE(keys.Newest("b1").known);
  EXPECT_EQ(keys.Newest("b1").value, nullptr);
  keys.Cut("b1", 6);
  EXPECT_EQ(*keys.Newest("b1").value, "uno");
  keys.Forget("b1", 5);
  EXPECT_FALSE(keys.Newest("b1").known);
  EXPECT_EQ(keys.size(), 0u);
}

TEST(KeyTable, NeverForgetsTheNewestOfAPinnedKey) {
  KeyTable keys;
  const std::string key = HeadKey(engine::PartitionId::Mailbox(3));
  EXPECT_TRUE(keys.Newest(key).known);
  keys.Put(key, "one", 5);
  keys.Put(key, "two", 6);
  keys.Forget(key, 9);
  EXPECT_EQ(*keys.Newest(key).value, "two");
  keys.Put(key, std::nullopt, 10);
  keys.Forget(key, 10);
  EXPECT_TRUE(keys.Newest(key).known);
  EXPECT_EQ(keys.size(), 0u);
}

TEST(IndexKeys, CarryTheirGroup) {
  for (const uint64_t group : {uint64_t{0}, uint64_t{127}, uint64_t{128}, UINT64_MAX}) {
    const std::string stored = WithGroup(group, "value");
    const auto split = SplitGroup(stored);
    ASSERT_TRUE(split.has_value());
    EXPECT_EQ(split->group, group);
    EXPECT_EQ(split->value, "value");
  }
  EXPECT_FALSE(SplitGroup("").has_value());
  EXPECT_FALSE(SplitGroup("\xff").has_value());
}

}  // namespace
}  // namespace restante::embedded
