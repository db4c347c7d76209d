// Reads all that entries name, and compares it with its checksums.
//
// RADOS keeps copies and compares them by itself; this finds what is wrong in all of them,
// and says which messages it costs.
#include <algorithm>
#include <deque>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"
#include "server/engine/scrub_record.h"

namespace restante::rados {
namespace {

constexpr size_t kEntriesAtOnce = 64, kWidth = 8, kMailboxesAtOnce = 1000, kNamersAtOnce = 1000;
constexpr uint64_t kPieceOctets = 1024 * 1024;
constexpr uint64_t kEndOfUids = UINT64_MAX;

// Where an octet of a body lies: object, and octets from its beginning.
std::pair<std::string, uint64_t> PlaceOf(BodyId body, const stored::BodyMeta& meta, uint64_t offset) {
  const uint64_t in_parts = meta.size() - meta.tail_size();
  if (offset >= in_parts) return {BodyObject(body), offset - in_parts};
  return {BodyPart(body, offset / kPartSize), offset % kPartSize};
}

// The first UID whose entry does not stand before a key, which may be any; kEndOfUids: none.
uint64_t FirstUidFrom(absl::string_view key) {
  uint64_t low = 1, high = kEndOfUids;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (PortKey(engine::EntryKey(middle)) < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

// The entries of a mailbox, page by page. What is lost of them, with a shard or each by
// itself, is told as damage and passed over.
class RadosEngine::EntryScan {
 public:
  EntryScan(RadosEngine* engine, uint64_t mailbox, size_t limit)
      : engine_(engine), id_(PartitionId::Mailbox(mailbox)), limit_(limit) {}

  // Replaces both by the next, perhaps by none; false: that was all.
  Task<absl::StatusOr<bool>> Next();
  std::vector<std::pair<uint64_t, stored::Entry>> entries;  // By UID.
  Damages damages;

 private:
  // What is lost together, if it is: UIDs [first, end).
  struct Piece {
    uint64_t first_uid = 0, end_uid = 0;
  };
  void AddDamage(std::string problem, std::vector<std::pair<uint64_t, uint64_t>> messages) {
    damages.push_back(
        {.file = PartitionObject(id_), .problem = std::move(problem), .messages = std::move(messages)});
  }

  RadosEngine* const engine_;
  const PartitionId id_;
  const size_t limit_;
  bool begun_ = false;
  std::string address_;
  std::deque<Piece> pieces_;  // That are left,
  std::string from_;          // and where the first goes on; empty: it was not begun.
};

struct RadosEngine::Scrubbing {
  uint64_t bytes_per_second = 0;
  engine::UpkeepReport report;
  absl::Mutex mutex;
  std::atomic<uint64_t> done_bytes{0}, total_bytes{0};  // As they are charged.
  const int64_t begun_us = Clock::System()->MonotonicMicros();
  stored::ScrubRecord::Result result;  // Of all that was told.
  std::atomic<uint64_t> octets{0};     // That are read, or are to be.

  // One call at a time, though several bodies are read at once.
  bool Tell(Damages damages) {
    absl::MutexLock lock(&mutex);
    for (const engine::Damage& damage : damages) engine::AddDamage(damage, &result);
    return report({.done_bytes = done_bytes,
                   .total_bytes = std::max<uint64_t>(total_bytes, done_bytes),
                   .damages = std::move(damages)});
  }

  // How long so many have to wait.
  absl::Duration Pause(uint64_t count) {
    const uint64_t before = octets.fetch_add(count);
    if (bytes_per_second == 0) return absl::ZeroDuration();
    const double due_us = static_cast<double>(before) * 1e6 / static_cast<double>(bytes_per_second);
    return absl::Microseconds(begun_us + static_cast<int64_t>(due_us) - Clock::System()->MonotonicMicros());
  }
};

void RadosEngine::Scrub(uint64_t bytes_per_second, engine::UpkeepReport report, Done<absl::Status> done) {
  if (scrubbing_.exchange(true)) return done(absl::FailedPreconditionError("a scrub is running"));
  auto scrubbing = std::make_shared<Scrubbing>();
  scrubbing->bytes_per_second = bytes_per_second;
  scrubbing->report = std::move(report);
  Run<absl::Status>(ScrubTask(std::move(scrubbing)),
                    [this, done = std::move(done)](absl::Status status) mutable {
                      scrubbing_ = false;
                      std::move(done)(std::move(status));
                    });
}

Task<absl::Status> RadosEngine::ScrubTask(std::shared_ptr<Scrubbing> scrubbing) {
  CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> mailboxes,
                      co_await ListedNumbers(PartitionId::Kind::kMailbox, 0, SIZE_MAX));
  for (uint64_t after = 0;;) {
    CO_ASSIGN_OR_RETURN(const Listed listed,
                        co_await ListTask(PartitionId::Kind::kMailbox, after, kMailboxesAtOnce));
    for (const auto& [number, head] : listed) {
      scrubbing->total_bytes += head.mailbox().used_bytes();
      after = number;
    }
    if (listed.size() < kMailboxesAtOnce) break;
  }
  for (const uint64_t mailbox : mailboxes) CO_RETURN_IF_ERROR(co_await ScrubMailbox(scrubbing, mailbox));
  scrubbing->total_bytes = scrubbing->done_bytes.load();
  CO_RETURN_IF_ERROR(GoesOn(scrubbing->Tell({})));
  stored::ScrubRecord::Result& result = scrubbing->result;
  result.set_end_us(clock_->WallMicros());
  result.set_duration_us(Clock::System()->MonotonicMicros() - scrubbing->begun_us);
  result.set_bytes(scrubbing->done_bytes);
  NoteScrub(result);
  // For all stores. Of two that end at once one is the last.
  WriteOp op = index_->NewWrite();
  op.AssertExists().SetXattr(kLastScrub, result.SerializeAsString());
  co_return ToStatus(co_await index_->Write(kStoreObject, std::move(op), /*frees=*/true), kStoreObject);
}

void RadosEngine::NoteScrubOf(const ObjectRead& store) {
  const auto found = store.xattrs.find(kLastScrub);
  stored::ScrubRecord::Result result;
  if (found != store.xattrs.end() && result.ParseFromString(found->second)) NoteScrub(result);
}

void RadosEngine::NoteScrub(const stored::ScrubRecord::Result& result) {
  absl::MutexLock lock(&mutex_);
  if (!last_scrub_ || last_scrub_->end_us <= result.end_us()) last_scrub_ = engine::FromRecord(result);
}

std::optional<engine::ScrubResult> RadosEngine::LastScrub() {
  absl::MutexLock lock(&mutex_);
  return last_scrub_;
}

Task<absl::StatusOr<bool>> RadosEngine::EntryScan::Next() {
  entries.clear();
  damages.clear();
  if (!begun_) {
    begun_ = true;
    const absl::StatusOr<PartitionState> state = co_await engine_->PartitionOf(id_)->Read({}, nullptr);
    if (absl::IsDataLoss(state.status())) {
      AddDamage(std::string(state.status().message()), {});
      co_return true;
    }
    CO_RETURN_IF_ERROR(state.status());
    address_ = state->head.mailbox().address();
    for (const Range& range : RangesOf(state->shards, kPortPrefix)) {
      const Piece piece{.first_uid = FirstUidFrom(range.from), .end_uid = FirstUidFrom(range.to)};
      if (piece.first_uid < piece.end_uid) pieces_.push_back(piece);
    }
  }
  if (pieces_.empty()) co_return false;
  const auto [first_uid, end_uid] = pieces_.front();
  if (from_.empty()) from_ = engine::EntryKey(first_uid);
  const absl::StatusOr<engine::ScanPage> page =
      co_await engine_->ScanTask(id_, from_, engine::EntryKey(end_uid), limit_);
  const bool lost = absl::IsDataLoss(page.status());
  if (!lost) CO_RETURN_IF_ERROR(page.status());
  if (!lost && page->more && !page->items.empty()) {
    from_ = page->items.back().first + '\0';
  } else {
    pieces_.pop_front();
    from_.clear();
  }
  if (lost) {
    // Which of them there were only the lost rows say.
    const std::string until = end_uid == kEndOfUids ? " on" : absl::StrCat(" to ", end_uid - 1);
    AddDamage(
        absl::StrCat(page.status().message(), ": messages of ", address_, " from UID ", first_uid, until),
        {});
    co_return true;
  }
  for (const auto& [key, value] : page->items) {
    const std::optional<uint64_t> uid = engine::EntryUid(key);
    stored::Entry entry;
    if (!uid) continue;
    if (entry.ParseFromString(value)) {
      entries.emplace_back(*uid, std::move(entry));
    } else {
      AddDamage(absl::StrCat("the entry of UID ", *uid, " is damaged"), {{id_.number, *uid}});
    }
  }
  co_return true;
}

Task<absl::Status> RadosEngine::ScrubMailbox(std::shared_ptr<Scrubbing> scrubbing, uint64_t mailbox) {
  EntryScan scan(this, mailbox, kEntriesAtOnce);
  while (true) {
    CO_ASSIGN_OR_RETURN(const bool more, co_await scan.Next());
    if (!more) co_return absl::OkStatus();
    using Found = absl::StatusOr<Damages>;
    std::function<Task<std::optional<Found>>(size_t)> scrub = [&](size_t i) {
      return [](RadosEngine* engine, std::shared_ptr<Scrubbing> by, uint64_t of,
                BodyId body) -> Task<std::optional<Found>> {
        Found found = co_await engine->ScrubBody(std::move(by), of, body);
        co_return std::optional<Found>(std::move(found));
      }(this, scrubbing, mailbox, BodyId{scan.entries[i].second.body()});
    };
    std::vector<std::optional<Found>> all =
        co_await Gather<std::optional<Found>>(scan.entries.size(), kWidth, std::move(scrub));
    Damages damages = std::move(scan.damages);
    for (size_t i = 0; i < all.size(); ++i) {
      CO_RETURN_IF_ERROR(all[i]->status());
      std::move((*all[i])->begin(), (*all[i])->end(), std::back_inserter(damages));
      scrubbing->done_bytes += scan.entries[i].second.size();
    }
    CO_RETURN_IF_ERROR(GoesOn(scrubbing->Tell(std::move(damages))));
  }
}

Task<absl::StatusOr<RadosEngine::Damages>> RadosEngine::ScrubBody(std::shared_ptr<Scrubbing> scrubbing,
                                                                  uint64_t mailbox, BodyId body) {
  Damages damages;
  const absl::StatusOr<BodyState> state = co_await bodies_->ReadState(body);
  if (!state.ok() && !absl::IsDataLoss(state.status())) co_return state.status();
  std::set<uint64_t> holders = {mailbox};
  std::string problem;
  uint64_t offset = 0;
  if (!state.ok()) {
    problem = std::string(state.status().message());
  } else if (!state->exists) {
    problem = absl::StrCat("body ", static_cast<uint64_t>(body), " is not there");
  } else {
    const auto& others = state->meta.holders();
    if (!others.empty() && others[0] != mailbox &&
        std::find(others.begin(), others.end(), mailbox) != others.end()) {
      co_return damages;
    }
    holders.insert(others.begin(), others.end());
    uint32_t crc = 0;
    for (uint64_t at = 0; at < state->meta.size() && problem.empty(); at += kPieceOctets) {
      const absl::Duration pause = scrubbing->Pause(std::min(kPieceOctets, state->meta.size() - at));
      if (pause > absl::ZeroDuration()) co_await later_->Sleep(pause);
      CO_RETURN_IF_ERROR(GoesOn(scrubbing->Tell({})));
      absl::StatusOr<std::string> octets = co_await bodies_->Read(body, at, kPieceOctets);
      if (octets.ok()) {
        crc = Crc32c(*octets, crc);
        continue;
      }
      if (!absl::IsDataLoss(octets.status()) && !absl::IsNotFound(octets.status())) co_return octets.status();
      problem = std::string(octets.status().message());
      // The first block of it that cannot be read.
      for (offset = at; offset + kBlockSize < state->meta.size(); offset += kBlockSize) {
        octets = co_await bodies_->Read(body, offset, kBlockSize);
        if (!octets.ok()) break;
      }
    }
    if (problem.empty() && crc != state->meta.crc32c()) {
      problem =
          absl::StrCat("body ", static_cast<uint64_t>(body), ": as a whole it differs from its checksum");
    }
  }
  if (problem.empty()) co_return damages;
  CO_ASSIGN_OR_RETURN(auto messages, co_await NamersOf(body, std::move(holders)));
  // Expunged meanwhile.
  if (messages.empty()) co_return damages;
  const auto [object, at] = state.ok() && state->exists ? PlaceOf(body, state->meta, offset)
                                                        : std::pair(BodyObject(body), uint64_t{0});
  damages.push_back({.file = absl::StrCat(options_.pool_body, "/", object),
                     .offset = at,
                     .problem = std::move(problem),
                     .messages = std::move(messages)});
  co_return damages;
}

Task<absl::StatusOr<std::vector<std::pair<uint64_t, uint64_t>>>> RadosEngine::NamersOf(
    BodyId body, std::set<uint64_t> mailboxes) {
  std::vector<std::pair<uint64_t, uint64_t>> messages;
  for (const uint64_t mailbox : mailboxes) {
    // (What is lost of it is told when it is that mailbox's turn.)
    EntryScan scan(this, mailbox, kNamersAtOnce);
    while (true) {
      CO_ASSIGN_OR_RETURN(const bool more, co_await scan.Next());
      if (!more) break;
      for (const auto& [uid, entry] : scan.entries) {
        if (BodyId{entry.body()} == body) messages.emplace_back(mailbox, uid);
      }
    }
  }
  co_return messages;
}

}  // namespace restante::rados
