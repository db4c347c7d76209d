// A store with something of everything in it, and all that is in a store as text, so that
// two of them compare.
#ifndef RESTANTE_TESTS_MOVING_MOVING_STORE_H_
#define RESTANTE_TESTS_MOVING_MOVING_STORE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "server/engine/engine.h"
#include "server/engine/moving/move.h"
#include "tests/contract/engine_user.h"

namespace restante::moving {

class MovingStore : public engine::EngineUser {
 public:
  explicit MovingStore(std::unique_ptr<engine::Engine> engine);
  std::unique_ptr<engine::Engine> Take() { return std::move(engine_); }
  void Give(std::unique_ptr<engine::Engine> engine) { engine_ = std::move(engine); }

  // Domains, one with a pool that is nearly full, mailboxes, one of many messages, one that is
  // being deleted; texts of all sizes, some of them shared; flags; receipts, tombstones and
  // open receipts; keys of the directory; events, where thresholds are recorded.
  void Furnish();
  // What happens to it in a day: mail comes and goes, as do mailboxes and a domain.
  void Live();

  // What Live knows of another one, which has moved here.
  void Know(const MovingStore& other);

  // Everything, by a name: heads, keys, entries with their text, receipts, events.
  std::map<std::string, std::string> Contents();

  uint64_t first = 0, second = 0, large = 0, ends = 0, domain = 0, empty_domain = 0;
};

// Their contents are the same; says where they are not.
void ExpectSame(MovingStore& one, MovingStore& other);

// Opens a place as a store is opened that is moved, or that is served: a data directory, or
// `rados:CONF:NAMESPACE` with stores whose death is noticed after 2.4 seconds.
std::unique_ptr<engine::Engine> OpenToMove(const std::string& place, const Clock* clock);
std::unique_ptr<engine::Engine> OpenToServe(const std::string& place, const Clock* clock);

MoveOptions OptionsOf(const Clock& clock);

// A directory that goes with it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace restante::moving

#endif  // RESTANTE_TESTS_MOVING_MOVING_STORE_H_
