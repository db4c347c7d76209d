// Checks what only the engine sees: that entries, counts, holders and bodies agree.
#include <algorithm>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/shard_writer.h"

namespace restante::rados {
namespace {

constexpr size_t kWidth = 32;

// What the entries of one mailbox name.
struct Named {
  std::map<BodyId, uint64_t> entries, counted;
  std::map<BodyId, std::pair<uint64_t, uint64_t>> first;  // UID and size of one of them.
  std::vector<uint64_t> damaged;                          // UIDs.
};

void AddEntry(const std::string& key, const std::string& value, Named* named) {
  const std::optional<std::string> plain = FromPortKey(key);
  const std::optional<uint64_t> uid = plain ? engine::EntryUid(*plain) : std::nullopt;
  if (!uid) return;
  stored::Entry entry;
  if (!entry.ParseFromString(value)) {
    named->damaged.push_back(*uid);
    return;
  }
  named->entries[BodyId{entry.body()}]++;
  named->first.emplace(BodyId{entry.body()}, std::make_pair(*uid, entry.size()));
}

void AddCount(const std::string& key, const std::string& value, Named* named) {
  const std::optional<uint64_t> body = NumberOfKey(key);
  if (body) named->counted[BodyId{*body}] = FromHex(value).value_or(0);
}

uint64_t CountIn(const std::map<BodyId, uint64_t>& counts, BodyId body) {
  const auto it = counts.find(body);
  return it == counts.end() ? 0 : it->second;
}

}  // namespace

void RadosEngine::VerifyBodies(std::function<void(uint64_t)> progress,
                               Done<absl::StatusOr<std::vector<std::string>>> done) {
  Run<absl::StatusOr<engine::Repairs>>(
      VerifyTask(/*repair=*/false, std::move(progress)),
      [done = std::move(done)](absl::StatusOr<engine::Repairs> repairs) mutable {
        if (!repairs.ok()) return std::move(done)(repairs.status());
        std::move(done)(std::move(repairs->problems));
      });
}

void RadosEngine::RepairBodies(std::function<void(uint64_t)> progress,
                               Done<absl::StatusOr<engine::Repairs>> done) {
  Run<absl::StatusOr<engine::Repairs>>(VerifyTask(/*repair=*/true, std::move(progress)), std::move(done));
}

// Sets the counts of a mailbox right by its entries.
Task<absl::Status> RadosEngine::Recount(uint64_t mailbox) {
  Step step;
  step.run = [](Draft& draft) {
    const std::string entries = PortKey("m/");
    // (Both are asked for at once.)
    if (bool all = draft.HasAll(entries); !draft.HasAll(kReferencePrefix) || !all) return false;
    Named named;
    for (const auto& [key, value] : draft.All(entries)) AddEntry(key, value, &named);
    for (const auto& [key, value] : draft.All(kReferencePrefix)) AddCount(key, value, &named);
    for (const auto& [body, count] : named.entries) {
      // One of a body that is lost stays uncounted.
      if (CountIn(named.counted, body) != count && named.counted.count(body) > 0) {
        draft.Put(ReferenceKey(body), Hex(count));
      }
    }
    for (const auto& [body, count] : named.counted) {
      if (named.entries.count(body) > 0) continue;
      draft.Erase(ReferenceKey(body));
      draft.Put(DroppedKey(body), draft.state().seq);
    }
    return true;
  };
  CO_RETURN_IF_ERROR(co_await MailboxOf(mailbox)->Post(std::move(step)));
  co_return co_await DropBodies(mailbox);
}

Task<absl::StatusOr<std::vector<std::string>>> RadosEngine::LostShards(PartitionId id) {
  std::vector<std::string> lost;
  const absl::StatusOr<PartitionState> state = co_await PartitionOf(id)->Read({}, nullptr);
  if (absl::IsDataLoss(state.status())) lost.emplace_back(state.status().message());
  if (!state.ok() && lost.empty()) co_return state.status();
  if (!state.ok() || !state->shards) co_return lost;
  for (const stored::ShardRange& range : state->shards->ranges()) {
    if (range.number() == 0) continue;
    const absl::Status status = co_await CheckShard(index_.get(), range);
    if (!status.ok() && !absl::IsDataLoss(status)) co_return status;
    if (status.ok()) continue;
    // It may have been replaced meanwhile, and be gone.
    CO_ASSIGN_OR_RETURN(const PartitionState now, co_await PartitionOf(id)->Read({}, nullptr));
    const Range still = RangeOf(now.shards, range.from());
    if (still.shard == nullptr || ObjectOf(*still.shard) != ObjectOf(range)) continue;
    lost.emplace_back(status.message());
  }
  co_return lost;
}

Task<absl::StatusOr<engine::Repairs>> RadosEngine::VerifyTask(bool repair,
                                                              std::function<void(uint64_t)> progress) {
  engine::Repairs repairs;
  const std::string ending = repair ? engine::kSetRight : "";
  CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> mailboxes,
                      co_await ListedNumbers(PartitionId::Kind::kMailbox, 0, SIZE_MAX));
  // Bodies that mailboxes hold, or are letting go.
  std::map<BodyId, std::set<uint64_t>> held, going;
  std::set<uint64_t> open;  // Mailboxes with reservations: a commit may be on its way.
  uint64_t checked = 0;
  for (const uint64_t mailbox : mailboxes) {
    const std::string object = PartitionObject(PartitionId::Mailbox(mailbox));
    const std::string where = absl::StrCat("mailbox partition ", mailbox);
    CO_ASSIGN_OR_RETURN(const std::vector<std::string> lost,
                        co_await LostShards(PartitionId::Mailbox(mailbox)));
    for (const std::string& shard : lost) repairs.problems.push_back(absl::StrCat(where, ": ", shard));
    if (!lost.empty()) {
      // What it names cannot be known.
      open.insert(mailbox);
      continue;
    }
    Named named;
    CO_ASSIGN_OR_RETURN(const Rows entries, co_await AllRows(object, PortKey("m/")));
    for (const auto& [key, value] : entries) AddEntry(key, value, &named);
    CO_ASSIGN_OR_RETURN(const Rows counts, co_await AllRows(object, kReferencePrefix));
    for (const auto& [key, value] : counts) AddCount(key, value, &named);
    CO_ASSIGN_OR_RETURN(const Rows dropped, co_await AllRows(object, kDroppedPrefix));
    for (const auto& [key, value] : dropped) going[BodyId{NumberOfKey(key).value_or(0)}].insert(mailbox);
    CO_ASSIGN_OR_RETURN(const Rows reservations, co_await AllRows(object, kReservationPrefix));
    if (!reservations.empty()) open.insert(mailbox);

    for (const uint64_t uid : named.damaged) {
      repairs.problems.push_back(absl::StrCat(where, " UID ", uid, ": the entry is damaged"));
    }
    bool miscounted = false;
    std::vector<BodyId> bodies;
    for (const auto& [body, count] : named.entries) bodies.push_back(body);
    using Read = absl::StatusOr<BodyState>;
    std::function<Task<std::optional<Read>>(size_t)> read = [this, &bodies](size_t i) {
      return [](Bodies* of, BodyId body) -> Task<std::optional<Read>> {
        Read state = co_await of->ReadState(body);
        co_return std::optional<Read>(std::move(state));
      }(bodies_.get(), bodies[i]);
    };
    const std::vector<std::optional<Read>> states =
        co_await Gather<std::optional<Read>>(bodies.size(), kWidth, std::move(read));
    for (size_t i = 0; i < bodies.size(); ++i) {
      const BodyId body = bodies[i];
      const auto& [uid, size] = named.first.at(body);
      const std::string number = absl::StrCat("body ", static_cast<uint64_t>(body));
      if (!states[i]->ok()) {
        repairs.problems.push_back(absl::StrCat(where, " UID ", uid, ": ", states[i]->status().message()));
        continue;
      }
      const BodyState& state = **states[i];
      if (!state.exists) {
        repairs.problems.push_back(absl::StrCat(where, " UID ", uid, ": ", number, " is missing"));
        continue;
      }
      if (state.meta.size() != size) {
        repairs.problems.push_back(absl::StrCat(where, " UID ", uid, ": ", size, " bytes charged, ", number,
                                                " has ", state.meta.size()));
      }
      const auto& holders = state.meta.holders();
      if (std::find(holders.begin(), holders.end(), mailbox) == holders.end()) {
        repairs.problems.push_back(
            absl::StrCat(number, ": does not know that mailbox partition ", mailbox, " holds it", ending));
        if (repair) CO_RETURN_IF_ERROR(co_await bodies_->AddHolder(body, mailbox));
        if (repair) ++repairs.repaired;
      }
      const uint64_t count = CountIn(named.counted, body);
      if (count == named.entries.at(body)) continue;
      repairs.problems.push_back(absl::StrCat(number, ": ", count, " references counted in ", where, ", ",
                                              named.entries.at(body), " entries name it", ending));
      miscounted = true;
      if (repair) ++repairs.repaired;
    }
    for (const auto& [body, count] : named.counted) {
      held[body].insert(mailbox);
      if (named.entries.count(body) > 0) continue;
      repairs.problems.push_back(absl::StrCat("body ", static_cast<uint64_t>(body), ": ", count,
                                              " references counted in ", where, ", 0 entries name it",
                                              ending));
      miscounted = true;
      if (repair) ++repairs.repaired;
    }
    if (miscounted && repair) CO_RETURN_IF_ERROR(co_await Recount(mailbox));
    checked += bodies.size();
    if (progress) progress(checked);
  }

  // Bodies of which nobody knows.
  CO_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                      co_await ListObjects(body_pool_.get(), kBodyObjects));
  for (const std::string& name : names) {
    const std::optional<BodyId> named = BodyOfObject(name);
    if (!named || name != BodyObject(*named)) continue;
    const BodyId body = *named;
    if (held.count(body) > 0 || bodies_->IsBeingWritten(body)) continue;
    CO_ASSIGN_OR_RETURN(const BodyState state, co_await bodies_->ReadState(body));
    for (const uint64_t holder : state.meta.holders()) {
      const auto letting_go = going.find(body);
      if (letting_go != going.end() && letting_go->second.count(holder) > 0) continue;
      if (open.count(holder) > 0) continue;
      repairs.problems.push_back(absl::StrCat("body ", static_cast<uint64_t>(body), ": mailbox partition ",
                                              holder, " holds it and does not name it",
                                              repair ? engine::kNotSetRight : ""));
    }
  }
  co_return repairs;
}

Task<absl::StatusOr<std::vector<std::string>>> RadosEngine::ListObjects(Pool* pool, std::string prefix) {
  auto names = std::make_shared<std::vector<std::string>>();
  Await<absl::Status> listing([pool, prefix, names](Await<absl::Status>::Done done) {
    // Listing waits, so it has a thread of its own.
    std::thread([pool, prefix, names, done = std::move(done)]() mutable {
      const absl::Status status = pool->List([&](absl::string_view name) {
        if (absl::StartsWith(name, prefix)) names->emplace_back(name);
      });
      std::move(done)(status);
    }).detach();
  });
  CO_RETURN_IF_ERROR(co_await listing);
  co_return *std::move(names);
}

}  // namespace restante::rados
