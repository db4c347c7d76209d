// Updates of partitions, and what has to be done in other objects before and after.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

// Bodies that are held at once.
constexpr size_t kWidth = 32;

uint64_t CountOf(const std::string* value) { return value == nullptr ? 0 : FromHex(*value).value_or(0); }

}  // namespace

// One update on its way. What has to be done in other objects first is found out by a run
// of the step, done, and the step posted again.
struct RadosEngine::Updating {
  PartitionId id;
  std::vector<std::string> keys;  // Asked for so far.
  engine::UpdateFn fn;
  Brought brought;

  // Done already.
  bool enlisted = false, placed_saved = false;
  std::optional<uint64_t> joined;  // Domain that the mailbox was made a member of,
  uint64_t joined_bytes = 0;       // and what it was granted with that.
  uint64_t held_epoch = 0;         // The epoch in which `held` were made holders.
  std::set<BodyId> held;
  bool notes_held = false;  // And which the partition notes as such that it may let go.

  // What the last run found.
  absl::Status status;
  bool changed = false;
  bool must_enlist = false, must_drop = false, must_save = false;
  std::set<BodyId> must_hold;
  std::optional<uint64_t> must_join;
  uint64_t must_join_bytes = 0;
  uint64_t left_domain = 0;
  bool erased = false, dropped_bodies = false, lowered = false, crossed = false, limits_changed = false;
  uint64_t must_know = 0;   // Domain that has to be read before.
  uint64_t in_domain = 0;   // A mailbox's, afterwards.
  int64_t octets = 0;       // That it has more now,
  int64_t left_octets = 0;  // and that its former domain has less.
  std::vector<TransactionId> lost;
  std::vector<std::string> written;  // Keys that it writes or erases.
  Shards shards;                     // Of the partition that was erased.
};

void RadosEngine::Update(PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
                         Done<absl::Status> done) {
  Run<absl::Status>(UpdateTask(partition, std::move(keys), std::move(fn), {}), std::move(done));
}

Task<absl::Status> RadosEngine::UpdateTask(PartitionId id, std::vector<std::string> keys, engine::UpdateFn fn,
                                           Brought brought) {
  auto updating = std::make_shared<Updating>();
  updating->id = id;
  updating->keys = std::move(keys);
  updating->fn = std::move(fn);
  updating->brought = std::move(brought);
  const absl::Status status = co_await RunUpdates(updating);
  if (updating->notes_held && !updating->changed) DropBodiesLater(id.number);
  co_return status;
}

Task<absl::Status> RadosEngine::RunUpdates(std::shared_ptr<Updating> updating) {
  const std::shared_ptr<Partition> partition = PartitionOf(updating->id);
  while (true) {
    Step step;
    step.run = [this, updating](Draft& draft) { return RunUpdate(*updating, draft); };
    const absl::Status status = co_await partition->Post(std::move(step));
    if (!status.ok()) co_return status;
    if (!updating->status.ok()) co_return updating->status;
    if (updating->changed) co_return co_await AfterUpdate(updating);
    const bool prepare = updating->must_enlist || updating->must_drop || updating->must_save ||
                         !updating->must_hold.empty() || updating->must_join.has_value() ||
                         updating->must_know != 0;
    if (!prepare) co_return absl::OkStatus();
    const absl::Status prepared = co_await Prepare(updating);
    if (!prepared.ok()) co_return prepared;
  }
}

bool RadosEngine::RunUpdate(Updating& updating, Draft& draft) {
  updating.status = absl::OkStatus();
  updating.changed = updating.must_enlist = updating.must_drop = updating.must_save = updating.erased =
      updating.dropped_bodies = updating.lowered = updating.crossed = updating.limits_changed = false;
  updating.must_know = updating.in_domain = 0;
  updating.octets = updating.left_octets = 0;
  updating.must_hold.clear();
  updating.must_join.reset();
  updating.left_domain = 0;
  updating.lost.clear();
  while (true) {
    bool known = true;
    for (const std::string& key : updating.keys) known &= draft.Has(PortKey(key));
    if (!known) return false;
    engine::Values values;
    for (const std::string& key : updating.keys) {
      if (const std::string* value = draft.Find(PortKey(key))) values.emplace(key, *value);
    }
    const PartitionState& state = draft.state();
    absl::StatusOr<engine::Verdict> verdict =
        updating.fn({.head = state.exists ? &state.head : nullptr, .values = values});
    // A change is proven by its guard; what changes nothing is decided on what is there now.
    if (!verdict.ok()) {
      updating.status = std::move(verdict).status();
      return draft.IsFresh();
    }
    if (std::holds_alternative<engine::NoChange>(*verdict)) return draft.IsFresh();
    if (const auto* change = std::get_if<Change>(&*verdict)) {
      return change->erase_partition && !state.exists ? draft.IsFresh()
                                                      : ApplyChange(updating, *change, draft);
    }
    const size_t before = updating.keys.size();
    for (const std::string& key : std::get<engine::NeedKeys>(*verdict).keys) {
      if (std::find(updating.keys.begin(), updating.keys.end(), key) == updating.keys.end()) {
        updating.keys.push_back(key);
      }
    }
    if (updating.keys.size() == before) {
      updating.status = absl::InternalError("an update asks for keys that it has");
      return true;
    }
  }
}

bool RadosEngine::ApplyChange(Updating& updating, const Change& change, Draft& draft) {
  PartitionState& state = draft.state();
  const bool mailbox = updating.id.kind == PartitionId::Kind::kMailbox;
  // What has to be known.
  std::map<BodyId, int64_t> references;
  for (const BodyId body : change.added_bodies) references[body]++;
  for (const BodyId body : change.released_bodies) references[body]--;
  bool known = true;
  for (const auto& [body, difference] : references) known &= draft.Has(ReferenceKey(body));
  const bool ends =
      mailbox && (change.erase_partition || change.head.mailbox().state() == stored::MailboxHead::DELETED);
  if (ends) known &= draft.HasAll(kReservationPrefix);
  if (change.erase_partition) {
    known &= draft.HasAll(PortKey("m/"));
    known &= draft.HasAll(kDroppedPrefix);
  }
  if (!known) return false;

  // Whether it may be.
  for (const auto& [body, difference] : references) {
    const uint64_t count = CountOf(draft.Find(ReferenceKey(body)));
    if (difference > 0 && count == 0 &&
        (updating.held_epoch != draft.epoch() || updating.held.count(body) == 0)) {
      updating.must_hold.insert(body);
    }
    if (difference <= 0 && count == 0) {
      updating.status =
          absl::NotFoundError(absl::StrCat("body ", static_cast<uint64_t>(body), ": no such body"));
      return true;
    }
    if (difference < 0 && count < static_cast<uint64_t>(-difference)) {
      updating.status = absl::FailedPreconditionError(absl::StrCat(
          "body ", static_cast<uint64_t>(body), ": ", -difference, " references released of ", count));
      return true;
    }
  }
  if (!updating.must_hold.empty()) return true;
  if (change.erase_partition) {
    if (updating.id.kind == PartitionId::Kind::kDirectory) {
      updating.status = absl::FailedPreconditionError("the directory is always there");
      return true;
    }
    std::set<std::string> entries;
    for (const auto& [key, value] : draft.All(PortKey("m/"))) {
      const std::optional<std::string> plain = FromPortKey(key);
      if (plain && engine::EntryUid(*plain)) entries.insert(*plain);
    }
    for (const std::string& key : change.erased) entries.erase(key);
    if (!entries.empty()) {
      updating.status = absl::FailedPreconditionError(
          absl::StrCat("mailbox partition ", updating.id.number, " holds entries: it cannot be erased"));
      return true;
    }
    // Whoever holds a body says so until it has let it go.
    if (!change.released_bodies.empty()) {
      updating.status = absl::FailedPreconditionError(
          absl::StrCat("mailbox partition ", updating.id.number, " ends and lets bodies go in one change"));
      return true;
    }
    if (mailbox && !updating.placed_saved) {
      updating.must_save = true;
      return true;
    }
    if (!draft.All(kDroppedPrefix).empty()) {
      updating.must_drop = true;
      return true;
    }
    return ApplyErase(updating, draft);
  }
  if (!state.exists && !updating.enlisted) {
    updating.must_enlist = true;
    return true;
  }
  const uint64_t domain = change.head.mailbox().domain();
  const uint64_t domain_before = state.exists ? state.head.mailbox().domain() : 0;
  if (mailbox && domain != domain_before && domain != 0 && updating.joined != domain) {
    updating.must_join = domain;
    updating.must_join_bytes = change.head.mailbox().used_bytes() + state.tail.reserved_bytes();
    return true;
  }
  std::optional<stored::DomainHead> domain_head;
  if (mailbox && !change.unmeasured && !KnowsDomain(domain, &domain_head)) {
    updating.must_know = domain;
    return true;
  }

  // And is.
  for (const auto& [body, difference] : references) {
    const uint64_t before = CountOf(draft.Find(ReferenceKey(body)));
    const uint64_t count = before + static_cast<uint64_t>(difference);
    if (count > 0) draft.Put(ReferenceKey(body), Hex(count));
    if (count > 0 && before == 0) draft.Erase(DroppedKey(body));
    if (count > 0) continue;
    draft.Erase(ReferenceKey(body));
    draft.Put(DroppedKey(body), state.seq);
    updating.dropped_bodies = true;
  }
  updating.written = change.erased;
  for (const std::string& key : change.erased) draft.Erase(PortKey(key));
  for (const auto& [key, value] : change.puts) {
    draft.Put(PortKey(key), value);
    updating.written.push_back(key);
  }
  if (updating.id.kind == PartitionId::Kind::kDomain) {
    const auto bound = [](const stored::Head& head) {
      const stored::Limit& limit = head.domain().max_bytes();
      return limit.kind() == stored::Limit::VALUE ? limit.value() : quota::kUnlimited;
    };
    const auto limits = [](const stored::Head& head) {
      const stored::DomainHead& of = head.domain();
      return absl::StrCat(of.default_bytes().SerializeAsString(), "/",
                          of.default_messages().SerializeAsString(), "/", of.max_bytes().SerializeAsString());
    };
    updating.limits_changed = state.exists && limits(change.head) != limits(state.head);
    updating.lowered =
        bound(change.head) < state.tail.granted_bytes() && bound(change.head) < bound(state.head);
  }
  if (mailbox && domain != domain_before) {
    if (domain_before != 0) updating.left_domain = domain_before;
    state.tail.mutable_grant()->set_bytes(updating.joined ? updating.joined_bytes : 0);
    state.tail.mutable_grant()->set_version(1);
  }
  if (mailbox) {
    const int64_t before = state.exists ? static_cast<int64_t>(state.head.mailbox().used_bytes()) : 0;
    const int64_t after = static_cast<int64_t>(change.head.mailbox().used_bytes());
    const bool moves = domain != domain_before;
    updating.in_domain = domain;
    updating.octets = moves ? after : after - before;
    updating.left_octets = moves ? -before : 0;
  }
  state.exists = true;
  state.head = change.head;
  if (mailbox && !change.unmeasured) updating.crossed = RecordCrossing(domain_head, draft);
  if (ends) {
    for (const auto& [key, value] : draft.All(kReservationPrefix)) {
      if (const auto id = TransactionOfKey(key)) updating.lost.push_back(*id);
      draft.Erase(key);
    }
    state.tail.set_reserved_bytes(0);
    state.tail.set_reservations(0);
  }
  draft.Touch();
  updating.changed = true;
  return true;
}

bool RadosEngine::ApplyErase(Updating& updating, Draft& draft) {
  for (const auto& [key, value] : draft.All(kReservationPrefix)) {
    if (const auto id = TransactionOfKey(key)) updating.lost.push_back(*id);
  }
  updating.left_domain = draft.state().head.mailbox().domain();
  updating.left_octets = -static_cast<int64_t>(draft.state().head.mailbox().used_bytes());
  updating.erased = true;
  updating.changed = true;
  updating.shards = draft.state().shards;
  draft.Remove();
  return true;
}

Task<absl::Status> RadosEngine::Prepare(std::shared_ptr<Updating> updating) {
  if (updating->must_enlist) {
    CO_RETURN_IF_ERROR(co_await Enlist(updating->id));
    updating->enlisted = true;
    options_.at("enlisted");
  }
  if (updating->must_join) {
    const uint64_t domain = *updating->must_join, bytes = updating->must_join_bytes;
    CO_RETURN_IF_ERROR(co_await AddMember(domain, updating->id.number, bytes));
    updating->joined = domain;
    options_.at("joined");
    updating->joined_bytes = bytes;
  }
  if (!updating->must_hold.empty()) {
    const std::set<BodyId> bodies = updating->must_hold;
    // Should this store end before the entry is there, whoever finds the key lets the body go.
    Step note;
    note.run = [updating, bodies](Draft& draft) {
      bool known = true;
      for (const BodyId body : bodies) known &= draft.Has(ReferenceKey(body));
      if (!known) return false;
      // Should the epoch end while this is done, it is done again.
      updating->held_epoch = draft.epoch();
      for (const BodyId body : bodies) {
        if (!draft.state().exists || draft.Find(ReferenceKey(body)) != nullptr) continue;
        draft.Put(DroppedKey(body), draft.state().seq);
        updating->notes_held = true;
      }
      return true;
    };
    CO_RETURN_IF_ERROR(co_await PartitionOf(updating->id)->Post(std::move(note)));
    const std::vector<BodyId> all(bodies.begin(), bodies.end());
    std::function<Task<absl::Status>(size_t)> hold = [this, updating, &all](size_t i) {
      return HoldBody(updating, all[i]);
    };
    const std::vector<absl::Status> holding =
        co_await Gather<absl::Status>(all.size(), kWidth, std::move(hold));
    for (const absl::Status& status : holding) CO_RETURN_IF_ERROR(status);
    updating->held = bodies;
    options_.at("held");
  }
  if (updating->must_know != 0) CO_RETURN_IF_ERROR((co_await DomainOf(updating->must_know)).status());
  if (updating->must_save) {
    CO_RETURN_IF_ERROR(co_await SavePlaced(updating->id.number));
    updating->placed_saved = true;
  }
  if (updating->must_drop) CO_RETURN_IF_ERROR(co_await DropBodies(updating->id.number));
  co_return absl::OkStatus();
}

Task<absl::Status> RadosEngine::HoldBody(std::shared_ptr<Updating> updating, BodyId body) {
  const auto it = updating->brought.find(body);
  // (Sealed already, it may be gone again, and is found missing.)
  if (it == updating->brought.end() || it->second->committed) {
    co_return co_await bodies_->AddHolder(body, updating->id.number);
  }
  const std::vector<uint64_t> holders(1, updating->id.number);
  const absl::Status sealed = co_await bodies_->Seal(it->second, std::nullopt, holders);
  if (!sealed.ok()) co_return sealed;
  it->second->committed = true;
  stored_bytes_ += static_cast<int64_t>(it->second->meta.size());
  co_return absl::OkStatus();
}

Task<absl::Status> RadosEngine::AfterUpdate(std::shared_ptr<Updating> updating) {
  const PartitionId id = updating->id;
  options_.at("updated");
  if (id.kind == PartitionId::Kind::kDirectory) directory_keys_.Forget(updating->written);
  for (const TransactionId& transaction : updating->lost) LoseHold(transaction, id.number);
  if (updating->left_domain != 0 && id.kind == PartitionId::Kind::kMailbox) {
    CO_RETURN_IF_ERROR(co_await RemoveMember(updating->left_domain, id.number));
  }
  if (updating->erased) {
    CO_RETURN_IF_ERROR(co_await Delist(id));
    CO_RETURN_IF_ERROR(co_await RemoveShards(updating->shards));
  }
  if (id.kind == PartitionId::Kind::kDomain) HintDomain(id.number);
  if (updating->dropped_bodies) DropBodiesLater(id.number);
  // A lower limit counts from the moment that nobody holds more than he needs.
  if (updating->lowered) {
    CO_RETURN_IF_ERROR((co_await SurveyPool(id.number, 0)).status());
  }
  if (updating->crossed) CO_RETURN_IF_ERROR(co_await LogEvents(id));
  if (updating->limits_changed) {
    CO_RETURN_IF_ERROR(co_await RecheckMembers(id.number));
    CO_RETURN_IF_ERROR(co_await CheckPool(id.number));
  }
  CO_RETURN_IF_ERROR(co_await NotePool(updating->in_domain, updating->octets));
  if (updating->left_domain != 0) {
    CO_RETURN_IF_ERROR(co_await NotePool(updating->left_domain, updating->left_octets));
  }
  co_return absl::OkStatus();
}

}  // namespace restante::rados
