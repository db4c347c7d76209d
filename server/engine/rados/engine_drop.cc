// Bodies that mailboxes name no more.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

constexpr size_t kWidth = 64;
constexpr size_t kDropsAtOnce = 200;

}  // namespace

void RadosEngine::DropBodiesLater(uint64_t mailbox) {
  {
    absl::MutexLock lock(&mutex_);
    const auto [it, is_new] = dropping_.emplace(mailbox, false);
    it->second = true;
    if (!is_new) return;
  }
  RunAlone([](RadosEngine* engine, uint64_t of) -> Task<absl::Status> {
    absl::Status status;
    while (true) {
      {
        absl::MutexLock lock(&engine->mutex_);
        const auto it = engine->dropping_.find(of);
        if (!it->second) {
          engine->dropping_.erase(it);
          co_return status;
        }
        it->second = false;
      }
      // What could not be done now the next one does, or a sweep.
      status = co_await engine->DropBodies(of);
    }
  }(this, mailbox));
}

// A body is let go in four steps, so that no copy of it that is being made at the same
// time, here or by another store, loses it:
//   1. the body is read, with its guard;
//   2. the mailbox is written, alone: it names the body no more. A copy into the mailbox
//      that was prepared before fails by the mailbox's guard, and prepares again;
//   3. the mailbox is taken out of the body's holders, by the guard of step 1: whoever
//      prepared since has raised it. The last holder takes the body with it;
//   4. the mailbox forgets about it.
Task<absl::Status> RadosEngine::DropBodies(uint64_t mailbox) {
  const std::shared_ptr<Partition> partition = MailboxOf(mailbox);
  while (true) {
    auto dropped = std::make_shared<Rows>();
    Step look;
    look.run = [dropped](Draft& draft) {
      if (!draft.HasAll(kDroppedPrefix)) return false;
      *dropped = draft.All(kDroppedPrefix);
      return true;
    };
    CO_RETURN_IF_ERROR(co_await partition->Post(std::move(look)));
    if (dropped->empty()) co_return absl::OkStatus();
    if (dropped->size() > kDropsAtOnce) dropped->resize(kDropsAtOnce);

    std::vector<BodyId> bodies;
    for (const auto& [key, value] : *dropped) bodies.push_back(BodyId{NumberOfKey(key).value_or(0)});
    using Read = absl::StatusOr<BodyState>;
    std::function<Task<std::optional<Read>>(size_t)> read = [this, &bodies](size_t i) {
      return [](Bodies* of, BodyId body) -> Task<std::optional<Read>> {
        Read state = co_await of->ReadState(body);
        co_return std::optional<Read>(std::move(state));
      }(bodies_.get(), bodies[i]);
    };
    std::vector<std::optional<Read>> states =
        co_await Gather<std::optional<Read>>(bodies.size(), kWidth, std::move(read));

    absl::Status unread;  // Of bodies that are damaged.
    for (const std::optional<Read>& state : states) unread.Update(state->status());
    options_.at("drop read");
    auto named = std::make_shared<std::set<BodyId>>();
    Step bump;
    bump.frees = bump.ends_epoch = true;
    bump.run = [bodies, named](Draft& draft) {
      named->clear();
      bool known = true;
      for (const BodyId body : bodies) known &= draft.Has(ReferenceKey(body));
      if (!known) return false;
      for (const BodyId body : bodies) {
        if (draft.Find(ReferenceKey(body)) != nullptr) named->insert(body);
      }
      draft.Touch();
      return true;
    };
    CO_RETURN_IF_ERROR(co_await partition->Post(std::move(bump)));

    options_.at("drop decided");
    // With what was dropped: a body may come and go again meanwhile.
    auto done = std::make_shared<Rows>();
    std::function<Task<char>(size_t)> remove = [this, &bodies, &states, named, mailbox](size_t i) {
      return [](RadosEngine* engine, BodyId body, Read state, bool is_named, uint64_t of) -> Task<char> {
        if (is_named || !state.ok()) co_return 0;
        const bool last = state->exists && state->meta.holders_size() == 1;
        const int64_t size = last ? static_cast<int64_t>(state->meta.size()) : 0;
        const absl::Status status = co_await engine->bodies_->RemoveHolder(body, of, *std::move(state));
        if (status.ok()) engine->stored_bytes_ -= size;
        co_return status.ok() ? 1 : 0;
      }(this, bodies[i], *std::move(states[i]), named->count(bodies[i]) > 0, mailbox);
    };
    const std::vector<char> removed = co_await Gather<char>(bodies.size(), kWidth, std::move(remove));
    for (size_t i = 0; i < bodies.size(); ++i) {
      if (removed[i] || named->count(bodies[i]) > 0) done->push_back((*dropped)[i]);
    }
    options_.at("dropped");
    if (done->empty() && !unread.ok()) co_return unread;
    if (done->empty()) continue;

    Step forget;
    forget.frees = true;
    forget.run = [done](Draft& draft) {
      bool known = true;
      for (const auto& [key, value] : *done) known &= draft.Has(key);
      if (!known) return false;
      for (const auto& [key, value] : *done) {
        const std::string* const there = draft.Find(key);
        if (there != nullptr && *there == value) draft.Erase(key);
      }
      return true;
    };
    CO_RETURN_IF_ERROR(co_await partition->Post(std::move(forget)));
  }
}

}  // namespace restante::rados
