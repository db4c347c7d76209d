// A walk through a segment that goes on behind what is damaged.
#include "server/engine/embedded/segment_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/group_record.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kStore = 0xC0FFEE;
constexpr uint64_t kSector = 4096;

// Octets in memory, of which some sectors cannot be read.
class MemoryFile : public File {
 public:
  absl::Status Append(absl::Span<const absl::string_view>) override { return absl::OkStatus(); }
  absl::Status Sync() override { return absl::OkStatus(); }
  void DropCached() override {}
  absl::Status Truncate(uint64_t) override { return absl::OkStatus(); }
  absl::Status Preallocate(uint64_t) override { return absl::OkStatus(); }
  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes, char* to) const override {
    bytes = offset > octets.size() ? 0 : std::min<size_t>(bytes, octets.size() - offset);
    for (uint64_t sector = offset / kSector; bytes > 0 && sector <= (offset + bytes - 1) / kSector;
         ++sector) {
      if (bad_sectors.contains(sector)) return absl::InternalError("input/output error");
    }
    std::copy_n(octets.data() + offset, bytes, to);
    return bytes;
  }
  absl::StatusOr<uint64_t> Size() const override { return octets.size(); }

  std::string octets;
  std::set<uint64_t> bad_sectors;
};

// A segment with groups of given bodies, and what a walk through it meets.
class SegmentScan : public testing::Test, public SegmentVisitor {
 protected:
  SegmentScan() {
    file_.octets = EncodeSegmentRecord(3, 10, {.previous_segment = 2, .previous_end = 64}, kStore);
  }

  void AddGroup(const std::vector<std::string>& texts) {
    stored::Group group;
    group.set_number(next_group_++);
    const size_t begin = file_.octets.size();
    std::string headers;
    for (const std::string& text : texts) {
      BodyEncoder encoder;
      std::vector<std::string> blocks;
      encoder.Append(text, &blocks);
      encoder.Finish(&blocks);
      RecordHeader header = encoder.Header(next_body_++, kStore);
      body_at_.push_back(file_.octets.size());
      file_.octets += EncodeHeader(&header);
      for (const std::string& block : blocks) file_.octets += block;
      file_.octets += encoder.table();
      PutFixed32(header.header_crc32c, &headers);
    }
    group.set_bytes(file_.octets.size() - begin);
    group.set_crc32c(Crc32c(headers));
    group_at_.push_back(file_.octets.size());
    const GroupRecord record = EncodeGroup(group, kStore, false);
    file_.octets += record.header + record.payload;
  }

  absl::Status Walk(ScanBodies bodies = ScanBodies::kVerify) {
    bodies_.clear();
    groups_.clear();
    damages_.clear();
    read_ = 0;
    return ScanSegment(file_, 3, file_.octets.size(), kStore, bodies, *this);
  }

  void Start(uint64_t first_group, const SegmentStart& start) override {
    EXPECT_EQ(first_group, 10u);
    EXPECT_EQ(start.previous_segment, 2u);
  }
  void Body(uint64_t offset, const RecordHeader& header) override {
    EXPECT_EQ(offset, body_at_[header.id - 1]);
    bodies_.push_back(header.id);
  }
  void Group(uint64_t, stored::Group group, bool complete) override {
    groups_.emplace_back(group.number(), complete);
  }
  void Damaged(SegmentDamage damage) override { damages_.push_back(std::move(damage)); }
  bool Reading(uint64_t octets) override { return (read_ += octets) < limit_; }
  std::optional<Place> Known(uint64_t at) override {
    for (const Place& place : known_) {
      if (place.end > at) return place;
    }
    return std::nullopt;
  }
  void FlipAt(uint64_t at) { file_.octets[at] = static_cast<char>(file_.octets[at] ^ 4); }

  MemoryFile file_;
  uint64_t next_group_ = 10, next_body_ = 1;
  std::vector<uint64_t> body_at_, group_at_;
  std::vector<Place> known_;
  uint64_t limit_ = UINT64_MAX;

  std::vector<uint64_t> bodies_;
  std::vector<std::pair<uint64_t, bool>> groups_;
  std::vector<SegmentDamage> damages_;
  uint64_t read_ = 0;
};

TEST_F(SegmentScan, MeetsEveryRecordOfAWholeOne) {
  AddGroup({"a", Noise(2 << 20, 1)});
  AddGroup({});
  AddGroup({"c"});
  EXPECT_EQ(Walk(), absl::OkStatus());
  EXPECT_THAT(bodies_, ElementsAre(1, 2, 3));
  EXPECT_THAT(groups_, ElementsAre(std::pair(10, true), std::pair(11, true), std::pair(12, true)));
  EXPECT_THAT(damages_, IsEmpty());
  EXPECT_EQ(read_, file_.octets.size());
}

TEST_F(SegmentScan, ReadsLittleOfBodiesThatAreSkipped) {
  AddGroup({Noise(2 << 20, 1), Noise(2 << 20, 2)});
  FlipAt(body_at_[0] + 1000);
  EXPECT_EQ(Walk(ScanBodies::kSkip), absl::OkStatus());
  EXPECT_THAT(groups_, ElementsAre(std::pair(10, true)));
  EXPECT_THAT(damages_, IsEmpty());
  EXPECT_LT(read_, 20'000u);
}

TEST_F(SegmentScan, ADamagedBodyIsWholeInNothingButItsGroup) {
  AddGroup({"a", Noise(5'000, 1), "c"});
  AddGroup({"d"});
  FlipAt(body_at_[1] + 1000);
  EXPECT_EQ(Walk(), absl::OkStatus());
  EXPECT_THAT(bodies_, ElementsAre(1, 3, 4));
  EXPECT_THAT(groups_, ElementsAre(std::pair(10, false), std::pair(11, true)));
  ASSERT_EQ(damages_.size(), 1u);
  EXPECT_EQ(damages_[0].offset, body_at_[1]);
  EXPECT_EQ(damages_[0].end, body_at_[2]);
  ASSERT_TRUE(damages_[0].header.has_value());
  EXPECT_EQ(damages_[0].header->id, 2u);
}

TEST_F(SegmentScan, BehindADamagedHeaderTheNextRecordIsFound) {
  AddGroup({"a", Noise(200'000, 1), "c"});
  AddGroup({"d"});
  FlipAt(body_at_[1] + 9);
  EXPECT_EQ(Walk(), absl::OkStatus());
  EXPECT_THAT(bodies_, ElementsAre(1, 3, 4));
  EXPECT_THAT(groups_, ElementsAre(std::pair(10, false), std::pair(11, true)));
  ASSERT_EQ(damages_.size(), 1u);
  EXPECT_EQ(damages_[0].end, body_at_[2]);
}

TEST_F(SegmentScan, ADamagedGroupRecordDoesNotMakeTheNextOneWrong) {
  AddGroup({"a"});
  AddGroup({"b"});
  AddGroup({"c"});
  for (const uint64_t at : {group_at_[1], group_at_[1] + kHeaderBytes + 1}) {
    FlipAt(at);
    EXPECT_EQ(Walk(), absl::OkStatus());
    EXPECT_THAT(bodies_, ElementsAre(1, 2, 3));
    ASSERT_EQ(damages_.size(), 1u);
    EXPECT_EQ(damages_[0].offset, group_at_[1]);
    EXPECT_EQ(groups_.back().first, 12u);
    FlipAt(at);
  }
}

TEST_F(SegmentScan, SaysThatAGroupIsMissing) {
  AddGroup({"a"});
  ++next_group_;
  AddGroup({"b"});
  EXPECT_EQ(Walk(), absl::OkStatus());
  ASSERT_EQ(damages_.size(), 1u);
  EXPECT_EQ(damages_[0].offset, group_at_[1]);
  EXPECT_THAT(damages_[0].problem, testing::HasSubstr("11 is expected"));
}

TEST_F(SegmentScan, SaysThatTheEndIsMissing) {
  AddGroup({"a"});
  AddGroup({"b"});
  file_.octets.resize(group_at_[1]);
  EXPECT_EQ(Walk(), absl::OkStatus());
  ASSERT_EQ(damages_.size(), 1u);
  EXPECT_EQ(damages_[0].offset, body_at_[1]);
}

TEST_F(SegmentScan, ASectorThatCannotBeReadCostsWhatIsInIt) {
  AddGroup({Noise(3'000, 1), Noise(20'000, 2), Noise(3'000, 3)});
  AddGroup({Noise(10'000, 4), Noise(3'000, 5)});
  // In the middle of a body, and where one begins.
  file_.bad_sectors = {body_at_[1] / kSector + 1, body_at_[4] / kSector};
  EXPECT_EQ(Walk(), absl::OkStatus());
  std::vector<uint64_t> whole;
  for (uint64_t body = 1; body <= 5; ++body) {
    const uint64_t end = body < 5 ? body_at_[body] : group_at_[1];
    bool readable = true;
    for (const uint64_t sector : file_.bad_sectors) {
      readable = readable && (end <= sector * kSector || body_at_[body - 1] >= (sector + 1) * kSector);
    }
    if (readable) whole.push_back(body);
  }
  EXPECT_EQ(bodies_, whole);
  ASSERT_GE(whole.size(), 2u);
  EXPECT_THAT(groups_, testing::Contains(std::pair(uint64_t{10}, false)));
}

TEST_F(SegmentScan, WhatIsInABodyDoesNotMisleadWhoKnowsTheRecords) {
  // A mail that holds a record of this very store.
  RecordHeader forged{.kind = RecordKind::kGroup, .id = 11, .store = kStore};
  const std::string mail = Noise(5'000, 1) + EncodeHeader(&forged) + Noise(5'000, 2);
  AddGroup({mail, "b"});
  AddGroup({"c"});
  FlipAt(body_at_[0]);
  known_ = {{.offset = body_at_[0], .end = body_at_[1]}};
  EXPECT_EQ(Walk(), absl::OkStatus());
  EXPECT_THAT(bodies_, ElementsAre(2, 3));
  EXPECT_THAT(groups_, ElementsAre(std::pair(10, false), std::pair(11, true)));
  EXPECT_EQ(damages_.size(), 1u);
}

TEST_F(SegmentScan, TwoRecordsInARowAreTwoDamagesWhereTheyAreKnown) {
  AddGroup({Noise(5'000, 1), Noise(5'000, 2), "c"});
  FlipAt(body_at_[0]);
  FlipAt(body_at_[1]);
  known_ = {{.offset = body_at_[0], .end = body_at_[1]}, {.offset = body_at_[1], .end = body_at_[2]}};
  EXPECT_EQ(Walk(), absl::OkStatus());
  ASSERT_EQ(damages_.size(), 2u);
  EXPECT_EQ(damages_[0].end, body_at_[1]);
  EXPECT_EQ(damages_[1].end, body_at_[2]);
}

TEST_F(SegmentScan, IsGivenUpWhenTheVisitorSaysSo) {
  for (int i = 0; i < 10; ++i) AddGroup({Noise(1 << 20, i)});
  limit_ = 3 << 20;
  EXPECT_TRUE(absl::IsCancelled(Walk()));
  EXPECT_LT(groups_.size(), 4u);
  EXPECT_THAT(damages_, IsEmpty());
}

}  // namespace
}  // namespace restante::embedded
