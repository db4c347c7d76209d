#include "server/engine/moving/comparison.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/commit_entry.h"
#include "server/engine/moving/asking.h"
#include "server/engine/moving/key_walk.h"
#include "server/engine/moving/parallel.h"

namespace restante::moving {
namespace {

constexpr uint64_t kPiece = uint64_t{1} << 20;
constexpr size_t kPairs = 256;
constexpr int kPairsAtOnce = 8;
constexpr size_t kReceiptsAtOnce = 1000, kEventsAtOnce = 1000;
// Receipts that expire within this many seconds are not compared.
constexpr uint64_t kSlackSeconds = 3600;

std::string NameOf(PartitionId partition) {
  switch (partition.kind) {
    case PartitionId::Kind::kDirectory:
      return "the directory";
    case PartitionId::Kind::kDomain:
      return absl::StrCat("domain partition ", partition.number);
    case PartitionId::Kind::kMailbox:
      break;
  }
  return absl::StrCat("mailbox partition ", partition.number);
}

// Of a set, whatever its order: how many, and the sum of a checksum of each.
struct Sum {
  uint64_t count = 0, checksums = 0;
  friend bool operator==(const Sum&, const Sum&) = default;
};

absl::StatusOr<Sum> SumReceipts(Engine* of, uint64_t since_s) {
  Sum sum;
  std::string from;
  do {
    ASSIGN_OR_RETURN(const engine::ReceiptPage page,
                     AskPatiently<absl::StatusOr<engine::ReceiptPage>>(
                         [&](auto done) { of->ReadReceipts(from, kReceiptsAtOnce, std::move(done)); }));
    for (const auto& [id, receipt] : page.receipts) {
      if (receipt.store_time_s() < since_s) continue;
      const std::string octets = id.ToBytes() + receipt.SerializeAsString();
      ++sum.count;
      sum.checksums += uint64_t{Crc32c(octets)} << 32 | Crc32c(octets + "\1");
    }
    from = page.next;
  } while (!from.empty());
  return sum;
}

}  // namespace

absl::Status Comparison::CompareBodies(BodyId one, BodyId other, uint64_t size) {
  uint64_t at = 0;
  while (at < size) {
    ASSIGN_OR_RETURN(const std::string a, ReadBody(from_, one, at, kPiece));
    ASSIGN_OR_RETURN(const std::string b, ReadBody(to_, other, at, kPiece));
    if (a != b || a.empty()) {
      return absl::DataLossError(absl::StrCat("the texts differ in the bytes from ", at, " on"));
    }
    at += a.size();
  }
  return absl::OkStatus();
}

absl::Status Comparison::CompareBodies(std::vector<Pair>& pairs, bool may_be_gone) {
  const absl::Status compared = ForEach(pairs.size(), kPairsAtOnce, [&](size_t i) -> absl::Status {
    const absl::Status same = CompareBodies(pairs[i].one, pairs[i].other, pairs[i].size);
    ++texts_;
    if (may_be_gone && absl::IsNotFound(same)) return absl::OkStatus();
    return Annotate(same, pairs[i].name);
  });
  pairs.clear();
  return compared;
}

absl::Status Comparison::Compare(PartitionId partition, uint64_t from_uid) {
  const bool mailbox = partition.kind == PartitionId::Kind::kMailbox;
  ASSIGN_OR_RETURN(const engine::ReadResult one, Read(from_, partition));
  ASSIGN_OR_RETURN(const engine::ReadResult other, Read(to_, partition));
  if (!one.head && !other.head) return absl::OkStatus();
  if (!one.head || !other.head || one.head->SerializeAsString() != other.head->SerializeAsString()) {
    return absl::DataLossError(absl::StrCat(NameOf(partition), ": its head differs"));
  }
  std::set<std::pair<uint64_t, uint64_t>> seen;
  std::vector<Pair> pairs;
  const absl::Status walked = WalkKeys(
      from_, to_, partition, UINT64_MAX,
      [&](const std::string& key, const std::string* value, const std::string* copy) {
        const std::optional<uint64_t> uid = mailbox ? engine::EntryUid(key) : std::nullopt;
        const std::string name =
            absl::StrCat(NameOf(partition),
                         uid ? absl::StrCat(", UID ", *uid) : absl::StrCat(", key ", absl::CHexEscape(key)));
        if (value == nullptr || copy == nullptr) {
          return absl::DataLossError(
              absl::StrCat(name, ": is only in the store that is moved ", value != nullptr ? "from" : "to"));
        }
        if (!uid) {
          return *value == *copy ? absl::OkStatus() : absl::DataLossError(absl::StrCat(name, ": differs"));
        }
        stored::Entry a, b;
        if (!a.ParseFromString(*value) || !b.ParseFromString(*copy)) {
          return absl::DataLossError(absl::StrCat(name, ": a damaged entry"));
        }
        const uint64_t body = b.body();
        b.set_body(a.body());
        if (a.SerializeAsString() != b.SerializeAsString()) {
          return absl::DataLossError(absl::StrCat(name, ": differs"));
        }
        ++messages_;
        passed_octets_ += a.size();
        if (a.uid() >= from_uid && seen.emplace(a.body(), body).second) {
          pairs.push_back({name, BodyId{a.body()}, BodyId{body}, a.size()});
        }
        return pairs.size() < kPairs ? absl::OkStatus() : CompareBodies(pairs, false);
      });
  return walked.ok() ? CompareBodies(pairs, false) : walked;
}

absl::Status Comparison::CompareTexts(PartitionId mailbox, uint64_t from_uid, uint64_t until_uid) {
  std::vector<Pair> pairs;
  const absl::Status walked = WalkKeys(
      from_, to_, mailbox, until_uid,
      [&](const std::string& key, const std::string* value, const std::string* copy) -> absl::Status {
        stored::Entry a, b;
        if (value == nullptr || copy == nullptr || engine::EntryUid(key).value_or(0) < from_uid) {
          return absl::OkStatus();
        }
        if (!a.ParseFromString(*value) || !b.ParseFromString(*copy)) return absl::OkStatus();
        pairs.push_back(
            {absl::StrCat(NameOf(mailbox), ", UID ", a.uid()), BodyId{a.body()}, BodyId{b.body()}, a.size()});
        return pairs.size() < kPairs ? absl::OkStatus() : CompareBodies(pairs, true);
      });
  return walked.ok() ? CompareBodies(pairs, true) : walked;
}

absl::Status Comparison::CompareReceipts() {
  const uint64_t kept = engine::kReceiptLifetimeSeconds - kSlackSeconds;
  const uint64_t now = std::max(from_->store_time_s(), to_->store_time_s());
  const uint64_t since = now - std::min(now, kept);
  ASSIGN_OR_RETURN(const Sum one, SumReceipts(from_, since));
  ASSIGN_OR_RETURN(const Sum other, SumReceipts(to_, since));
  if (one == other) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("receipts: ", one.count, " in the store that is moved from, ",
                                          other.count, " in the one that is moved to",
                                          one.count == other.count ? ", and they differ" : ""));
}

absl::Status Comparison::CompareEvents() {
  uint64_t after = 0;
  while (true) {
    const auto read = [&](Engine* of) {
      return AskPatiently<absl::StatusOr<engine::EventPage>>(
          [&](auto done) { of->ReadEvents(after, kEventsAtOnce, std::move(done)); });
    };
    ASSIGN_OR_RETURN(const engine::EventPage one, read(from_));
    ASSIGN_OR_RETURN(const engine::EventPage other, read(to_));
    if (other.next < one.next) {
      return absl::DataLossError(
          absl::StrCat("events: the next one is ", other.next, ", it has to be ", one.next, " at least"));
    }
    if (one.events.empty()) return absl::OkStatus();
    for (const stored::Event& event : one.events) {
      if (event.sequence() < other.oldest) continue;  // Too old by now.
      const auto same = [&](const stored::Event& copy) {
        return copy.SerializeAsString() == event.SerializeAsString();
      };
      if (std::any_of(other.events.begin(), other.events.end(), same)) continue;
      return absl::DataLossError(absl::StrCat("event ", event.sequence(), ": differs"));
    }
    after = one.events.back().sequence();
  }
}

}  // namespace restante::moving
