#include "server/engine/moving/history.h"

#include <string>
#include <utility>

#include "server/base/status_macros.h"
#include "server/engine/moving/asking.h"

namespace restante::moving {
namespace {

constexpr size_t kAtOnce = 1000;

absl::Status Inherit(Engine* to, engine::Inheritance inheritance) {
  return Ask<absl::Status>([&](auto done) { to->Inherit(std::move(inheritance), std::move(done)); });
}

}  // namespace

absl::Status TakeOverTime(Engine* from, Engine* to) {
  engine::Inheritance time;
  time.store_time_s = from->store_time_s();
  return Inherit(to, std::move(time));
}

absl::StatusOr<uint64_t> CopyReceipts(Engine* from, Engine* to) {
  uint64_t count = 0;
  std::string place;
  do {
    ASSIGN_OR_RETURN(engine::ReceiptPage page,
                     AskPatiently<absl::StatusOr<engine::ReceiptPage>>(
                         [&](auto done) { from->ReadReceipts(place, kAtOnce, std::move(done)); }));
    place = page.next;
    count += page.receipts.size();
    engine::Inheritance some;
    some.receipts = std::move(page.receipts);
    RETURN_IF_ERROR(Inherit(to, std::move(some)));
  } while (!place.empty());
  return count;
}

absl::StatusOr<uint64_t> CopyEvents(Engine* from, Engine* to) {
  engine::Inheritance rest;
  rest.events.emplace();
  while (true) {
    const uint64_t after = rest.events->empty() ? 0 : rest.events->back().sequence();
    ASSIGN_OR_RETURN(engine::EventPage page, AskPatiently<absl::StatusOr<engine::EventPage>>([&](auto done) {
                       from->ReadEvents(after, kAtOnce, std::move(done));
                     }));
    rest.next_event = page.next;
    if (page.events.empty()) break;
    for (stored::Event& event : page.events) rest.events->push_back(std::move(event));
  }
  const uint64_t count = rest.events->size();
  rest.store_time_s = from->store_time_s();
  rest.next_number = from->NewNumber();
  RETURN_IF_ERROR(Inherit(to, std::move(rest)));
  return count;
}

absl::StatusOr<std::vector<PartitionId>> PartitionsOf(Engine* engine, PartitionId::Kind kind,
                                                      uint64_t* octets) {
  std::vector<PartitionId> partitions;
  while (true) {
    ASSIGN_OR_RETURN(
        const Listed some,
        ListPartitions(engine, kind, partitions.empty() ? 0 : partitions.back().number, kAtOnce));
    if (some.empty()) return partitions;
    for (const auto& [number, head] : some) {
      partitions.push_back({kind, number});
      if (octets != nullptr) *octets += head.mailbox().used_bytes();
    }
  }
}

}  // namespace restante::moving
