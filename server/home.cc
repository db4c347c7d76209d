#include "server/home.h"

#include <string>
#include <utility>

#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/engine/house.h"
#include "server/engine/moving/marks.h"
#include "server/place.h"

namespace restante {
namespace {

using engine::stored::House;

std::string NameOf(const StoreConfig& config) {
  return config.engine == "embedded" ? config.data_dir : config.engine;
}

// What the store's options are where it goes.
StoreConfig ConfigThere(const StoreConfig& config, const Place& place) {
  StoreConfig there = config;
  there.engine = place.rados ? "rados" : "embedded";
  there.data_dir = place.directory;
  there.create = !place.rados;
  there.rebuild_index = false;
  return there;
}

// The store has gone there. The last mark may be missing, if the move was cut off behind its
// commit point.
absl::StatusOr<std::unique_ptr<engine::Engine>> OpenThere(const StoreConfig& there, const std::string& name,
                                                          const House& left, const OpenEngineFn& open) {
  ASSIGN_OR_RETURN(std::unique_ptr<engine::Engine> engine, open(there));
  ASSIGN_OR_RETURN(House house, moving::ReadHouse(engine.get()));
  if (house.state() == House::MOVING_IN && house.move() == left.move()) {
    house.set_state(House::MOVED_IN);
    house.set_time_us(left.time_us());
    RETURN_IF_ERROR(moving::WriteHouse(engine.get(), house));
  }
  RETURN_IF_ERROR(Annotate(engine::WhyNotServed(house), name));
  return engine;
}

}  // namespace

absl::StatusOr<Home> Home::Open(const StoreConfig& config, OpenEngineFn open) {
  Home home;
  ASSIGN_OR_RETURN(home.engine_, open(config));
  ASSIGN_OR_RETURN(const House house, moving::ReadHouse(home.engine_.get()));
  if (config.migrate_to.empty()) {
    RETURN_IF_ERROR(Annotate(engine::WhyNotServed(house), NameOf(config)));
    return home;
  }
  ASSIGN_OR_RETURN(const Place to, Place::Parse("migrate-to", config.migrate_to));
  ASSIGN_OR_RETURN(
      const Place from,
      Place::Parse("engine", config.engine == "rados" ? "rados" : "embedded:" + config.data_dir));
  const std::string name = to.Name(config.ceph);
  const StoreConfig there = ConfigThere(config, to);
  if (house.state() == House::MOVED_OUT && house.other() == name) {
    home.engine_.reset();
    ASSIGN_OR_RETURN(home.engine_, OpenThere(there, name, house, open));
    Log(LogLevel::kWarning, "the store has moved and is served from there; let its options say so",
        {{"to", name}, {"since", engine::TimeText(house.time_us())}});
    return home;
  }
  if (house.state() != House::MOVING_OUT || house.other() != name) {
    RETURN_IF_ERROR(Annotate(engine::WhyNotServed(house), NameOf(config)));
  }
  auto moving = std::make_unique<moving::MovingEngine>(std::move(home.engine_));
  home.moving_ = moving.get();
  home.engine_ = std::move(moving);
  home.options_.places.from = from.Name(config.ceph);
  home.options_.places.to = name;
  home.options_.open = [there, to, open = std::move(open)](bool to_serve) {
    return to_serve ? open(there) : OpenToMove(to, there.ceph, /*create=*/true);
  };
  home.options_.say = [](const std::string& line, bool error) {
    Log(error ? LogLevel::kError : LogLevel::kInfo, line);
  };
  return home;
}

void Home::StartMove() {
  if (moving_ != nullptr) move_ = std::make_unique<moving::OnlineMove>(moving_, options_);
}

}  // namespace restante
