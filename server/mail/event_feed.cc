#include "server/mail/event_feed.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/names.h"

namespace restante::mail {
namespace {

using engine::PartitionId;
namespace stored = engine::stored;

std::string CursorKey(absl::string_view consumer) { return absl::StrCat("c/", consumer); }

v1::Limit ToLimit(const stored::Limit& limit) {
  v1::Limit out;
  const bool value = limit.kind() == stored::Limit::VALUE;
  out.set_kind(value ? v1::Limit::VALUE : v1::Limit::UNLIMITED);
  if (value) out.set_value(limit.value());
  return out;
}

}  // namespace

v1::StoreEvent ToStoreEvent(const stored::Event& event) {
  v1::StoreEvent out;
  out.set_sequence(event.sequence());
  out.mutable_time()->set_seconds(event.time_us() / 1'000'000);
  out.mutable_time()->set_nanos(static_cast<int32_t>(event.time_us() % 1'000'000 * 1000));
  if (event.has_quota()) {
    const stored::QuotaEvent& quota = event.quota();
    v1::QuotaEvent& to = *out.mutable_quota();
    to.set_resource(quota.domain() ? DomainName(quota.name()) : MailboxName(quota.name()));
    to.set_percent(quota.percent());
    to.set_previous_percent(quota.previous_percent());
    to.set_used_bytes(quota.used_bytes());
    to.set_used_messages(quota.used_messages());
    *to.mutable_max_bytes() = ToLimit(quota.max_bytes());
    if (quota.has_max_messages()) *to.mutable_max_messages() = ToLimit(quota.max_messages());
  } else if (event.has_disk()) {
    out.mutable_disk()->set_full(event.disk().full());
    out.mutable_disk()->set_used_bytes(event.disk().used_bytes());
    out.mutable_disk()->set_limit_bytes(event.disk().limit_bytes());
  }
  return out;
}

EventFeed::EventFeed(engine::Engine* engine) : engine_(engine) {
  engine_->OnEvents([state = state_] { state->Ring(); });
}

EventFeed::~EventFeed() {
  engine_->OnEvents(nullptr);
  Stop();
}

void EventFeed::State::Ring() {
  absl::flat_hash_map<uint64_t, absl::AnyInvocable<void(bool)>> woken;
  {
    absl::MutexLock lock(&mutex);
    ++rung;
    woken.swap(waits);
  }
  for (auto& [wait, done] : woken) done(true);
}

void EventFeed::Stop() {
  absl::flat_hash_map<uint64_t, absl::AnyInvocable<void(bool)>> woken;
  {
    absl::MutexLock lock(&state_->mutex);
    state_->stopped = true;
    woken.swap(state_->waits);
  }
  for (auto& [wait, done] : woken) done(false);
}

uint64_t EventFeed::rung() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->rung;
}

bool EventFeed::stopped() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->stopped;
}

uint64_t EventFeed::Wait(uint64_t seen, absl::AnyInvocable<void(bool)> done) {
  bool stopped = false;
  uint64_t wait = 0;
  {
    absl::MutexLock lock(&state_->mutex);
    wait = ++state_->last_wait;
    stopped = state_->stopped;
    if (!stopped && state_->rung == seen) {
      state_->waits.emplace(wait, std::move(done));
      return wait;
    }
  }
  done(!stopped);
  return wait;
}

void EventFeed::Cancel(uint64_t wait) {
  absl::AnyInvocable<void(bool)> done;
  {
    absl::MutexLock lock(&state_->mutex);
    const auto it = state_->waits.find(wait);
    if (it == state_->waits.end()) return;
    done = std::move(it->second);
    state_->waits.erase(it);
  }
  done(false);
}

Task<absl::StatusOr<engine::EventPage>> EventFeed::Kept() {
  auto page = co_await Await<absl::StatusOr<engine::EventPage>>(
      [this](auto done) { engine_->ReadEvents(0, 0, std::move(done)); });
  co_return std::move(page);
}

Task<absl::StatusOr<engine::EventPage>> EventFeed::Read(uint64_t after, size_t limit) {
  CO_ASSIGN_OR_RETURN(engine::EventPage page,
                      co_await Await<absl::StatusOr<engine::EventPage>>([this, after, limit](auto done) {
                        engine_->ReadEvents(after, limit, std::move(done));
                      }));
  const auto out_of_range = [&](absl::string_view text) {
    return Error(absl::StatusCode::kOutOfRange, "EVENTS_DROPPED", absl::StrCat("event ", after), text,
                 {{"oldest", absl::StrCat(page.oldest)}, {"next", absl::StrCat(page.next)}});
  };
  if (after >= page.next) {
    co_return out_of_range(
        absl::StrCat("is none of this store's, the next one is ", page.next, "; was it restored?"));
  }
  if (after + 1 < page.oldest) {
    co_return out_of_range(absl::StrCat("those behind it are no longer kept, the oldest is ", page.oldest));
  }
  co_return std::move(page);
}

Task<absl::StatusOr<std::optional<uint64_t>>> EventFeed::CursorOf(absl::string_view consumer) {
  const std::string key = CursorKey(consumer);
  std::vector<std::string> keys = {key};
  CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                      co_await mail::Read(engine_, PartitionId::Directory(), std::move(keys)));
  const auto it = read.values.find(key);
  if (it == read.values.end()) co_return std::optional<uint64_t>();
  stored::EventCursor cursor;
  cursor.ParseFromString(it->second);
  co_return std::optional<uint64_t>(cursor.sequence());
}

Task<absl::Status> EventFeed::SetCursor(absl::string_view consumer, uint64_t sequence) {
  stored::EventCursor cursor;
  cursor.set_sequence(sequence);
  std::pair<std::string, std::string> put(CursorKey(consumer), cursor.SerializeAsString());
  absl::Status status = co_await Update(engine_, PartitionId::Directory(), {},
                                        [&put](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                          engine::Change change;
                                          if (view.head != nullptr) change.head = *view.head;
                                          change.head.mutable_directory();
                                          change.puts.push_back(put);
                                          return change;
                                        });
  co_return std::move(status);
}

}  // namespace restante::mail
