#include "server/rpc/watch_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/errors.h"

namespace restante::rpc {
namespace {

// Events in one response at most.
constexpr size_t kAtOnce = 500;

bool Wanted(const v1::WatchEventsRequest& request, const v1::StoreEvent& event) {
  if (request.kinds().empty()) return true;
  for (const int kind : request.kinds()) {
    if (kind == v1::EVENT_KIND_QUOTA && event.has_quota()) return true;
    if (kind == v1::EVENT_KIND_DISK && event.has_disk()) return true;
  }
  return false;
}

// Until there may be more, the feed stops, or the caller goes.
Await<bool> More(mail::EventFeed* feed, uint64_t seen, Call& call) {
  return Await<bool>([feed, seen, &call](auto done) {
    const uint64_t wait = feed->Wait(seen, std::move(done));
    // (Whoever wakes it meanwhile: it goes on when this has returned, and not before.)
    call.OnGone([feed, wait] { feed->Cancel(wait); });
  });
}

}  // namespace

Task<absl::Status> ServeWatchEvents(mail::EventFeed* feed, Call& call,
                                    const v1::WatchEventsRequest* request) {
  for (const int kind : request->kinds()) {
    if (kind != v1::EVENT_KIND_QUOTA && kind != v1::EVENT_KIND_DISK) {
      co_return mail::InvalidField("kinds", absl::StrCat(kind, " is no kind of event"));
    }
  }
  uint64_t after = request->after_sequence();
  if (request->only_new() || !request->has_after_sequence()) {
    CO_ASSIGN_OR_RETURN(const engine::EventPage kept, co_await feed->Kept());
    after = (request->only_new() ? kept.next : kept.oldest) - 1;
  }
  bool told = false;  // Where it begins: a caller knows then that it is followed.
  while (true) {
    const uint64_t seen = feed->rung();
    CO_ASSIGN_OR_RETURN(const engine::EventPage page, co_await feed->Read(after, kAtOnce));
    v1::WatchEventsResponse response;
    for (const engine::stored::Event& event : page.events) {
      after = event.sequence();
      v1::StoreEvent out = mail::ToStoreEvent(event);
      if (Wanted(*request, out)) *response.add_events() = std::move(out);
    }
    response.set_sequence(after);
    if (!told || !page.events.empty()) {
      if (!co_await call.Write(response)) co_return absl::CancelledError("the caller went away");
      told = true;
    }
    if (!page.events.empty()) continue;
    const bool more = co_await More(feed, seen, call);
    if (call.over()) co_return absl::CancelledError("the caller went away");
    if (!more) co_return absl::UnavailableError("the store stops");
  }
}

}  // namespace restante::rpc
