#include "server/engine/moving/marks.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/house.h"
#include "server/engine/moving/asking.h"
#include "server/engine/moving/history.h"
#include "server/engine/moving/key_walk.h"

namespace restante::moving {
namespace {

using stored::House;

constexpr size_t kMoveBytes = 16;

std::string NewMove() {
  unsigned char octets[kMoveBytes];
  if (RAND_bytes(octets, sizeof(octets)) != 1) return "";
  return std::string(reinterpret_cast<const char*>(octets), sizeof(octets));
}

}  // namespace

absl::StatusOr<stored::House> ReadHouse(Engine* engine) {
  ASSIGN_OR_RETURN(const engine::ReadResult read,
                   Read(engine, PartitionId::Directory(), {engine::kHouseKey}));
  stored::House house;
  const auto it = read.values.find(engine::kHouseKey);
  if (it != read.values.end() && !house.ParseFromString(it->second)) {
    return absl::DataLossError("the mark that says where the store is at home is damaged");
  }
  return house;
}

absl::Status WriteHouse(Engine* engine, const stored::House& house) {
  const std::string value = house.SerializeAsString();
  return Ask<absl::Status>([&](auto done) {
    engine->Update(
        PartitionId::Directory(), {},
        [&value](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
          engine::Change change;
          if (view.head != nullptr) change.head = *view.head;
          change.head.mutable_directory();
          if (value.empty()) change.erased = {engine::kHouseKey};
          if (!value.empty()) change.puts = {{engine::kHouseKey, value}};
          return change;
        },
        std::move(done));
  });
}

absl::Status CheckServed(Engine* engine) {
  ASSIGN_OR_RETURN(const stored::House house, ReadHouse(engine));
  return engine::WhyNotServed(house);
}

absl::Status CheckEmpty(Engine* engine) {
  ASSIGN_OR_RETURN(const auto mailboxes, PartitionsOf(engine, PartitionId::Kind::kMailbox));
  ASSIGN_OR_RETURN(const auto domains, PartitionsOf(engine, PartitionId::Kind::kDomain));
  KeyReader keys(engine, PartitionId::Directory());
  ASSIGN_OR_RETURN(const auto* first, keys.Peek());
  if (mailboxes.empty() && domains.empty() && first == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("is not empty: it holds ", domains.size(),
                                                    " domains and ", mailboxes.size(),
                                                    " mailboxes; a store is moved to an empty place"));
}

absl::Status Stay(Engine* engine, const Clock* clock) {
  ASSIGN_OR_RETURN(const House before, ReadHouse(engine));
  if (before.state() != House::MOVING_OUT && before.state() != House::MOVED_OUT) {
    return absl::FailedPreconditionError("the store is not being moved from here, nor was it");
  }
  House house = before;
  house.set_state(House::STAYED);
  house.set_time_us(clock->WallMicros());
  // What has a life elsewhere is another store from here on.
  if (before.state() == House::MOVED_OUT) house.Clear();
  return WriteHouse(engine, house);
}

// --- one move ------------------------------------------------------------------------

absl::Status MarkedMove::Begin() {
  RETURN_IF_ERROR(Mark());
  if (complete_) return absl::OkStatus();
  const absl::Status alone = BeAlone();
  if (alone.ok()) return absl::OkStatus();
  // Whoever is served goes on, and so does who starts anew.
  RETURN_IF_ERROR(WriteHouse(to_, target_before_));
  RETURN_IF_ERROR(WriteHouse(from_, source_before_));
  return alone;
}

absl::Status MarkedMove::Commit() {
  RETURN_IF_ERROR(Set(from_, House::MOVED_OUT, places_.to));
  places_.at("moved out");
  return absl::OkStatus();
}

absl::Status MarkedMove::Arrive() {
  // (It may be at home there for long.)
  if (complete_ && target_before_.state() == House::MOVED_IN) return absl::OkStatus();
  RETURN_IF_ERROR(Set(to_, House::MOVED_IN, places_.from));
  places_.at("moved in");
  return absl::OkStatus();
}

absl::Status MarkedMove::BeAlone() {
  const auto alone = [](Engine* engine) {
    return Ask<absl::Status>([&](auto done) { engine->BeAlone(std::move(done)); });
  };
  RETURN_IF_ERROR(Annotate(alone(from_), places_.from));
  return Annotate(alone(to_), places_.to);
}

absl::Status MarkedMove::Set(Engine* engine, House::State state, const std::string& other) {
  House house;
  house.set_state(state);
  house.set_move(move_);
  house.set_other(other);
  house.set_time_us(places_.clock->WallMicros());
  return WriteHouse(engine, house);
}

absl::Status MarkedMove::Mark() {
  const auto refuse = [](const std::string& place, const absl::Status& why) { return Annotate(why, place); };
  ASSIGN_OR_RETURN(source_before_, ReadHouse(from_));
  ASSIGN_OR_RETURN(target_before_, ReadHouse(to_));
  const House &source = source_before_, &target = target_before_;
  const bool same = !source.move().empty() && source.move() == target.move();
  if (source.state() == House::MOVED_OUT) {
    complete_ = same && (target.state() == House::MOVING_IN || target.state() == House::MOVED_IN);
    move_ = source.move();
    return complete_ ? absl::OkStatus() : refuse(places_.from, engine::WhyNotServed(source));
  }
  if (source.state() == House::MOVING_IN) return refuse(places_.from, engine::WhyNotServed(source));
  if (source.state() == House::MOVING_OUT && source.other() != places_.to) {
    return refuse(places_.from, engine::WhyNotServed(source));
  }
  const bool going = source.state() == House::MOVING_OUT || source.state() == House::STAYED;
  move_ = going ? source.move() : NewMove();
  if (move_.size() != kMoveBytes) return absl::InternalError("no random numbers to be had");
  const bool resumed = going && same && target.state() == House::MOVING_IN;
  if (!resumed) {
    RETURN_IF_ERROR(Annotate(engine::WhyNotServed(target), places_.to));
    RETURN_IF_ERROR(Annotate(CheckEmpty(to_), places_.to));
    RETURN_IF_ERROR(CheckRoom());
  }
  if (source.state() != House::MOVING_OUT) RETURN_IF_ERROR(Set(from_, House::MOVING_OUT, places_.to));
  places_.at("moving out");
  if (!resumed) RETURN_IF_ERROR(Set(to_, House::MOVING_IN, places_.from));
  places_.at("moving in");
  return absl::OkStatus();
}

// What is known not to fit: octets may be shared by mailboxes, and compressed.
absl::Status MarkedMove::CheckRoom() {
  uint64_t octets = 0;
  RETURN_IF_ERROR(PartitionsOf(from_, PartitionId::Kind::kMailbox, &octets).status());
  const uint64_t least = std::min(octets, from_->GetCapacity().used);
  const engine::Capacity capacity = to_->GetCapacity();
  if (capacity.read_only || least <= capacity.available) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(places_.to, ": has ", capacity.available,
                                                   " bytes left of ", capacity.limit, ", the mail takes ",
                                                   least));
}

}  // namespace restante::moving
