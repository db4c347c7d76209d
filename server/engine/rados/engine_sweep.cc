// What runs that ended without a word have left, and what is too old to be kept.
//
// Whatever is left has a name from which any store can tell whose it was: reservations
// and bodies carry the number of their run, and a run that is dead stays dead, for a
// store that starts again takes a new one.
#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/shard_writer.h"

namespace restante::rados {
namespace {

constexpr char kBeat[] = "beat";
// Store time, hours, of the last look at what is too old.
constexpr char kExpired[] = "expired";
constexpr uint64_t kSecondsPerHour = 3600;
constexpr uint64_t kRowsAtOnce = 1000;

// What is damaged stays, for whoever verifies; it must not keep a sweep from all the rest.
absl::Status UnlessDamaged(const absl::Status& status) {
  return absl::IsDataLoss(status) ? absl::OkStatus() : status;
}

uint64_t RunOf(BodyId body) { return static_cast<uint64_t>(body) >> kIncarnationShift; }

}  // namespace

void RadosEngine::SweepLater() {
  BeginTask();
  later_->After(options_.life_interval, [this] {
    if (closing_) return EndTask();
    Run<absl::Status>(SweepTask(), [this](const absl::Status& status) {
      if (!status.ok() && !closing_)
        Log(LogLevel::kWarning, "a sweep ended early", {{"error", status.message()}});
      SweepLater();
    });
    EndTask();
  });
}

Task<absl::Status> RadosEngine::SweepTask() {
  CO_ASSIGN_OR_RETURN(const Rows runs, co_await AllRows(kStoreObject, kRunPrefix));
  Judged judged;
  bool any_dead = false;
  std::map<uint64_t, std::string> last_beats;
  for (const auto& [key, value] : runs) {
    const uint64_t run = NumberOfKey(key).value_or(0);
    CO_ASSIGN_OR_RETURN(judged[run], co_await IsDead(run, &last_beats[run]));
    any_dead |= judged[run];
  }
  if (!any_dead) co_return absl::OkStatus();
  engine::SettleReport settled = [](const engine::SettleProgress&) { return true; };
  CO_RETURN_IF_ERROR(co_await SweepMailboxes(judged, std::move(settled)));
  engine::SweepReport swept = [](const engine::SweepProgress&) { return true; };
  CO_RETURN_IF_ERROR(co_await SweepBodies(std::move(swept)));
  CO_RETURN_IF_ERROR(co_await SweepShards());
  for (const auto& [key, value] : runs) {
    const uint64_t run = NumberOfKey(key).value_or(0);
    if (judged[run]) CO_RETURN_IF_ERROR(co_await ForgetRun(run, key, value, last_beats[run]));
  }
  co_return absl::OkStatus();
}

// --- what is asked for -------------------------------------------------------------

void RadosEngine::SettleDead(engine::SettleReport report, Done<absl::Status> done) {
  const auto settle = [](RadosEngine* engine, engine::SettleReport tell) -> Task<absl::Status> {
    std::function<bool()> go_on = [tell] { return tell({}); };
    CO_ASSIGN_OR_RETURN(const Judged judged, co_await engine->JudgeRuns(std::move(go_on)));
    co_return co_await engine->SweepMailboxes(judged, tell);
  };
  Run<absl::Status>(settle(this, std::move(report)), std::move(done));
}

void RadosEngine::SweepOrphans(engine::SweepReport report, Done<absl::Status> done) {
  const auto sweep = [](RadosEngine* engine, engine::SweepReport tell) -> Task<absl::Status> {
    std::function<bool()> go_on = [tell] { return tell({}); };
    CO_RETURN_IF_ERROR((co_await engine->JudgeRuns(std::move(go_on))).status());
    CO_RETURN_IF_ERROR(co_await engine->SweepBodies(tell));
    co_return co_await engine->SweepShards();
  };
  Run<absl::Status>(sweep(this, std::move(report)), std::move(done));
}

// One that lives gives a life sign meanwhile, one that is dead does not for long enough.
Task<absl::StatusOr<RadosEngine::Judged>> RadosEngine::JudgeRuns(std::function<bool()> go_on) {
  Judged judged;
  std::map<uint64_t, std::string> first_beats;
  while (true) {
    CO_ASSIGN_OR_RETURN(const Rows runs, co_await AllRows(kStoreObject, kRunPrefix));
    bool all = true;
    for (const auto& [key, value] : runs) {
      const uint64_t run = NumberOfKey(key).value_or(0);
      if (judged.count(run) > 0) continue;
      std::string beat;
      CO_ASSIGN_OR_RETURN(const bool is_dead, co_await IsDead(run, &beat));
      const std::string& first = first_beats.emplace(run, beat).first->second;
      const bool known = is_dead || run == incarnation_ || first != beat;
      if (known) judged[run] = is_dead;
      all &= known;
    }
    if (all) co_return judged;
    CO_RETURN_IF_ERROR(GoesOn(go_on()));
    co_await later_->Sleep(options_.life_interval / 10);
  }
}

absl::Status RadosEngine::GoesOn(bool wanted) const {
  if (closing_) return absl::CancelledError("the store is being closed");
  return wanted ? absl::OkStatus() : absl::CancelledError("nobody waits for it any more");
}

void RadosEngine::ExpireLater() {
  BeginTask();
  later_->After(options_.life_interval, [this] {
    if (closing_) return EndTask();
    const auto expire = [](RadosEngine* engine) -> Task<absl::Status> {
      CO_ASSIGN_OR_RETURN(const bool due, co_await engine->ClaimExpiry());
      if (due) co_return co_await engine->Expire();
      co_return absl::OkStatus();
    };
    // What could not be done now is done within the next hour.
    Run<absl::Status>(expire(this), [this](const absl::Status&) { ExpireLater(); });
    EndTask();
  });
}

// Unless it has shown since that it lives: then what it has begun meanwhile has to be swept,
// too, should it end without a word.
Task<absl::Status> RadosEngine::ForgetRun(uint64_t run, std::string key, std::string enrolled,
                                          std::string last_beat) {
  if (!last_beat.empty()) {
    WriteOp op = index_->NewWrite();
    op.CompareXattr(kBeat, last_beat).Remove();
    const int result = co_await index_->Write(LifeObject(run), std::move(op), /*frees=*/true);
    if (result == -ECANCELED) co_return absl::OkStatus();
    if (result < 0 && result != -ENOENT) co_return ToStatus(result, LifeObject(run));
  }
  const std::vector<std::string> keys(1, key);
  WriteOp forget = index_->NewWrite();
  forget.CompareOmap(key, enrolled).EraseOmap(keys);
  const int result = co_await index_->Write(kStoreObject, std::move(forget), /*frees=*/true);
  if (result == -ECANCELED) co_return absl::OkStatus();
  if (result < 0) co_return ToStatus(result, kStoreObject);
  ++runs_swept_;
  Log(LogLevel::kInfo, "swept after a store that ended without a word", {{"run", run}});
  co_return absl::OkStatus();
}

// Settles the reservations of the dead, and finishes what they were letting go.
Task<absl::Status> RadosEngine::SweepMailboxes(Judged judged, engine::SettleReport report) {
  engine::SettleProgress progress;
  for (const auto& [run, is_dead] : judged) progress.dead_stores += is_dead ? 1 : 0;
  const auto shared = std::make_shared<Judged>(std::move(judged));
  CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> mailboxes,
                      co_await ListedNumbers(PartitionId::Kind::kMailbox, 0, SIZE_MAX));
  progress.total_mailboxes = mailboxes.size();
  for (const uint64_t mailbox : mailboxes) {
    CO_RETURN_IF_ERROR(GoesOn(report(progress)));
    const absl::StatusOr<uint64_t> settled = co_await SweepMailbox(mailbox, shared);
    CO_RETURN_IF_ERROR(UnlessDamaged(settled.status()));
    progress.settled_reservations += settled.value_or(0);
    ++progress.checked_mailboxes;
  }
  CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> domains,
                      co_await ListedNumbers(PartitionId::Kind::kDomain, 0, SIZE_MAX));
  for (const uint64_t domain : domains) {
    CO_RETURN_IF_ERROR(UnlessDamaged(co_await LogEvents(PartitionId::Domain(domain))));
    CO_RETURN_IF_ERROR(UnlessDamaged(co_await SweepFilling(PartitionId::Domain(domain), shared)));
  }
  CO_RETURN_IF_ERROR(UnlessDamaged(co_await SweepFilling(PartitionId::Directory(), shared)));
  co_return GoesOn(report(progress));
}

Task<absl::StatusOr<uint64_t>> RadosEngine::SweepMailbox(uint64_t mailbox, std::shared_ptr<Judged> judged) {
  uint64_t settled = 0;
  const std::string object = PartitionObject(PartitionId::Mailbox(mailbox));
  CO_ASSIGN_OR_RETURN(const Rows reservations, co_await AllRows(object, kReservationPrefix));
  for (const auto& [key, value] : reservations) {
    stored::Reservation reservation;
    const std::optional<TransactionId> id = TransactionOfKey(key);
    if (!id || !reservation.ParseFromString(value)) continue;
    const uint64_t run = reservation.incarnation();
    // (One that is enrolled no more, or since.)
    if (judged->count(run) == 0) {
      CO_ASSIGN_OR_RETURN((*judged)[run], co_await IsDead(run));
    }
    if (!judged->at(run)) continue;
    CO_RETURN_IF_ERROR(UnlessDamaged(co_await SettleReservation(*id, reservation.attempt(), mailbox)));
    ++settled;
  }
  CO_ASSIGN_OR_RETURN(const Rows dropped, co_await AllRows(object, kDroppedPrefix));
  if (!dropped.empty()) CO_RETURN_IF_ERROR(UnlessDamaged(co_await DropBodies(mailbox)));
  CO_RETURN_IF_ERROR(co_await LogEvents(PartitionId::Mailbox(mailbox)));
  CO_RETURN_IF_ERROR(co_await SweepFilling(PartitionId::Mailbox(mailbox), judged));
  co_return settled;
}

// Removes bodies that dead runs have begun, or put away, for nobody.
Task<absl::Status> RadosEngine::SweepBodies(engine::SweepReport report) {
  CO_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                      co_await ListObjects(body_pool_.get(), kBodyObjects));
  std::map<BodyId, std::vector<std::string>> parts;
  std::set<BodyId> whole;
  for (const std::string& name : names) {
    const std::optional<BodyId> body = BodyOfObject(name);
    if (!body || RunOf(*body) == incarnation_) continue;
    if (name == BodyObject(*body)) whole.insert(*body);
    if (name != BodyObject(*body)) parts[*body].push_back(name);
  }
  std::map<uint64_t, bool> dead;
  for (const auto& [body, objects] : parts) dead.emplace(RunOf(body), false);
  for (const BodyId body : whole) dead.emplace(RunOf(body), false);
  for (auto& [run, is_dead] : dead) {
    CO_ASSIGN_OR_RETURN(is_dead, co_await IsDead(run));
  }
  engine::SweepProgress progress;
  progress.total_bodies = whole.size();
  for (const auto& [body, objects] : parts) progress.total_bodies += whole.count(body) > 0 ? 0 : 1;
  for (const auto& [body, objects] : parts) {
    if (whole.count(body) > 0) continue;
    CO_RETURN_IF_ERROR(GoesOn(report(progress)));
    ++progress.checked_bodies;
    if (!dead[RunOf(body)]) continue;
    // (Listed before its last object was: then that is there by now.)
    CO_ASSIGN_OR_RETURN(const BodyState state, co_await bodies_->ReadState(body));
    if (state.exists) continue;
    for (const std::string& object : objects) {
      WriteOp op = body_pool_->NewWrite();
      op.Remove();
      co_await body_pool_->Write(object, std::move(op), /*frees=*/true);
    }
    ++progress.removed_bodies;
  }
  for (const BodyId body : whole) {
    CO_RETURN_IF_ERROR(GoesOn(report(progress)));
    ++progress.checked_bodies;
    if (!dead[RunOf(body)]) continue;
    const absl::StatusOr<std::optional<uint64_t>> removed = co_await SweepBody(body);
    CO_RETURN_IF_ERROR(UnlessDamaged(removed.status()));
    if (!removed.ok() || !*removed) continue;
    ++progress.removed_bodies;
    progress.removed_bytes += **removed;
  }
  co_return GoesOn(report(progress));
}

Task<absl::StatusOr<bool>> RadosEngine::Names(uint64_t mailbox, BodyId body) {
  std::vector<std::string> keys;
  keys.push_back(ReferenceKey(body));
  keys.push_back(DroppedKey(body));
  std::map<std::string, std::string> values;
  CO_ASSIGN_OR_RETURN(const PartitionState state,
                      co_await MailboxOf(mailbox)->Read(std::move(keys), &values));
  co_return state.exists && !values.empty();
}

// Through the mailbox, for it may be about to name the body: a copy on its way there is
// told by the guard.
Task<absl::StatusOr<bool>> RadosEngine::LetGo(uint64_t mailbox, BodyId body) {
  auto exists = std::make_shared<bool>(false);
  Step step;
  step.frees = true;
  step.run = [body, exists](Draft& draft) {
    *exists = draft.state().exists;
    if (!*exists) return draft.IsFresh();
    // (Both are asked for at once.)
    if (bool named = draft.Has(ReferenceKey(body)); !draft.Has(DroppedKey(body)) || !named) return false;
    if (draft.Find(ReferenceKey(body)) == nullptr && draft.Find(DroppedKey(body)) == nullptr) {
      draft.Put(DroppedKey(body), draft.state().seq);
    }
    return true;
  };
  CO_RETURN_IF_ERROR(co_await MailboxOf(mailbox)->Post(std::move(step)));
  if (*exists) CO_RETURN_IF_ERROR(co_await DropBodies(mailbox));
  co_return *exists;
}

Task<absl::StatusOr<std::optional<uint64_t>>> RadosEngine::SweepBody(BodyId body) {
  CO_ASSIGN_OR_RETURN(BodyState state, co_await bodies_->ReadState(body));
  if (!state.exists) co_return std::nullopt;
  const std::optional<uint64_t> removed_size = state.meta.size();
  if (state.meta.holders().empty()) {
    CO_RETURN_IF_ERROR(co_await bodies_->Remove(body, PartsOf(state.meta.size() - state.meta.tail_size())));
    co_return removed_size;
  }
  const std::vector<uint64_t> holders(state.meta.holders().begin(), state.meta.holders().end());
  for (const uint64_t holder : holders) {
    CO_ASSIGN_OR_RETURN(const bool names, co_await Names(holder, body));
    if (names) continue;
    // Its transaction is decided first: from then on it is placed, or never will be.
    const std::optional<TransactionId> id = TransactionId::FromBytes(state.meta.transaction_id());
    if (id) {
      CO_ASSIGN_OR_RETURN(const stored::Receipt receipt, co_await SettleTask(*id));
    }
    CO_ASSIGN_OR_RETURN(const bool let_go, co_await LetGo(holder, body));
    CO_ASSIGN_OR_RETURN(state, co_await bodies_->ReadState(body));
    if (!state.exists) co_return removed_size;
    if (let_go) continue;
    const absl::Status removed = co_await bodies_->RemoveHolder(body, holder, state);
    // Somebody is busy with it: the next sweep looks again.
    if (!removed.ok() && !absl::IsAborted(removed)) co_return removed;
    CO_ASSIGN_OR_RETURN(state, co_await bodies_->ReadState(body));
    if (!state.exists) co_return removed_size;
  }
  co_return std::nullopt;
}

// --- shards ------------------------------------------------------------------------

Task<absl::Status> RadosEngine::SweepFilling(PartitionId id, std::shared_ptr<const Judged> judged) {
  CO_ASSIGN_OR_RETURN(const PartitionState state, co_await PartitionOf(id)->Read({}, nullptr));
  const uint64_t filling = state.shards ? state.shards->filling().number() : 0;
  const auto run = judged->find(filling >> kIncarnationShift);
  if (run == judged->end() || !run->second) co_return absl::OkStatus();
  co_return co_await EndFilling(id, filling, 0);
}

// Removes shards that no list names, whosever they are: a note in the list comes before
// the first of them, and what is not named by then never will be.
Task<absl::Status> RadosEngine::SweepShards() {
  CO_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                      co_await ListObjects(index_.get(), kShardObjects));
  std::map<std::string, std::optional<Shards>> by_home;  // Read after they were listed.
  for (const std::string& name : names) {
    if (closing_) co_return absl::CancelledError("the store is being closed");
    const auto shard = ShardOfObject(name);
    if (!shard) continue;
    ReadOp op = index_->NewRead();
    op.Xattrs();
    const ObjectRead read = co_await index_->Read(name, std::move(op));
    const auto home = read.xattrs.find(kHomeXattr);
    if (read.result < 0 || home == read.xattrs.end()) continue;
    if (by_home.count(home->second) == 0) {
      ReadOp home_op = index_->NewRead();
      home_op.Xattrs();
      const ObjectRead of_home = co_await index_->Read(home->second, std::move(home_op));
      if (of_home.result < 0 && of_home.result != -ENOENT) co_return ToStatus(of_home.result, home->second);
      by_home[home->second] = ShardsIn(of_home);
    }
    // (Where the list is damaged nothing goes.)
    const std::optional<Shards>& shards = by_home[home->second];
    if (!shards || IsNamed(*shards, shard->first, shard->second)) continue;
    CO_RETURN_IF_ERROR((co_await RemoveShard(index_.get(), shard->first, shard->second)).status());
  }
  co_return absl::OkStatus();
}

// --- what is too old ---------------------------------------------------------------

// One store in each hour of store time looks for it.
Task<absl::StatusOr<bool>> RadosEngine::ClaimExpiry() {
  const std::string hour = Hex(StoreTime() / kSecondsPerHour);
  ReadOp read_op = index_->NewRead();
  read_op.Xattrs();
  const ObjectRead read = co_await index_->Read(kStoreObject, std::move(read_op));
  if (read.result < 0) co_return ToStatus(read.result, kStoreObject);
  const auto before = read.xattrs.find(kExpired);
  if (before != read.xattrs.end() && before->second >= hour) co_return false;
  WriteOp op = index_->NewWrite();
  op.CompareXattr(kExpired, before == read.xattrs.end() ? "" : before->second).SetXattr(kExpired, hour);
  const int result = co_await index_->Write(kStoreObject, std::move(op), /*frees=*/true);
  if (result == -ECANCELED) co_return false;
  if (result < 0) co_return ToStatus(result, kStoreObject);
  co_return true;
}

Task<absl::Status> RadosEngine::Expire() {
  CO_RETURN_IF_ERROR(co_await ExpireEvents());
  // In a young store nothing is old.
  if (StoreTime() < engine::kReceiptLifetimeSeconds) co_return absl::OkStatus();
  // An outcome goes before what it has left in mailboxes, or that would be placed again.
  for (int i = 0; i < kOutcomeObjects; ++i) {
    if (closing_) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await ExpireOutcomes(OutcomeObject(i)));
  }
  const uint64_t kept = engine::kReceiptLifetimeSeconds + 2 * kSecondsPerHour;
  if (StoreTime() < kept) co_return absl::OkStatus();
  const std::string placed_until = PlacedKeysFrom(StoreTime() - kept);
  CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> mailboxes,
                      co_await ListedNumbers(PartitionId::Kind::kMailbox, 0, SIZE_MAX));
  for (const uint64_t mailbox : mailboxes) {
    if (closing_) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(UnlessDamaged(co_await RemoveGone(PartitionId::Mailbox(mailbox))));
    const std::string object = PartitionObject(PartitionId::Mailbox(mailbox));
    std::vector<std::string> old;
    ReadOp op = index_->NewRead();
    op.OmapAfter(kPlacedPrefix, kPlacedPrefix, kRowsAtOnce);
    const ObjectRead read = co_await index_->Read(object, std::move(op));
    for (const auto& [key, value] : read.rows) {
      if (key < placed_until) old.push_back(key);
    }
    const std::string receipts = PortKey(engine::kOpenReceiptsFrom);
    const absl::StatusOr<Rows> open = co_await AllRows(object, receipts);
    CO_RETURN_IF_ERROR(UnlessDamaged(open.status()));
    if (!open.ok()) continue;
    for (const auto& [key, value] : *open) {
      if (!engine::PlacedBefore(&value, StoreTime(), options_.retry_window_seconds)) old.push_back(key);
    }
    if (old.empty()) continue;
    Step step;
    step.frees = true;
    step.run = [this, old, receipts](Draft& draft) {
      if (!draft.state().exists) return draft.IsFresh();
      bool known = true;
      for (const std::string& key : old) known &= draft.Has(key);
      if (!known) return false;
      for (const std::string& key : old) {
        const std::string* const value = draft.Find(key);
        if (value == nullptr) continue;
        // An open receipt may be another one since.
        if (absl::StartsWith(key, receipts) &&
            engine::PlacedBefore(value, StoreTime(), options_.retry_window_seconds)) {
          continue;
        }
        draft.Erase(key);
      }
      return true;
    };
    CO_RETURN_IF_ERROR(UnlessDamaged(co_await MailboxOf(mailbox)->Post(std::move(step))));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> RadosEngine::ExpireOutcomes(std::string object) {
  std::string after;
  while (true) {
    ReadOp op = index_->NewRead();
    op.OmapAfter(after, "", kRowsAtOnce);
    const ObjectRead read = co_await index_->Read(object, std::move(op));
    if (read.result == -ENOENT || read.rows.empty()) co_return absl::OkStatus();
    if (read.result < 0) co_return ToStatus(read.result, object);
    after = read.rows.back().first;
    WriteOp erase = index_->NewWrite();
    std::vector<std::string> old;
    for (const auto& [key, value] : read.rows) {
      stored::Outcome outcome;
      if (!outcome.ParseFromString(value)) continue;
      if (StoreTime() <
          outcome.receipt().store_time_s() + engine::kReceiptLifetimeSeconds + kSecondsPerHour) {
        continue;
      }
      erase.CompareOmap(key, value);
      old.push_back(key);
    }
    if (!old.empty()) {
      erase.EraseOmap(old);
      // One that was made anew meanwhile saves them all, for an hour.
      const int result = co_await index_->Write(object, std::move(erase), /*frees=*/true);
      if (result < 0 && result != -ECANCELED) co_return ToStatus(result, object);
    }
    if (!read.more) co_return absl::OkStatus();
  }
}

}  // namespace restante::rados
