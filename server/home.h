// Where a store is at home: opens it there, and moves it while it serves if it is to go
// elsewhere (--migrate-to).
#ifndef RESTANTE_SERVER_HOME_H_
#define RESTANTE_SERVER_HOME_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "server/config.h"
#include "server/engine/engine.h"
#include "server/engine/moving/online_move.h"

namespace restante {

// Opens what `config` says, to be served.
using OpenEngineFn =
    std::function<absl::StatusOr<std::unique_ptr<engine::Engine>>(const StoreConfig& config)>;

class Home {
 public:
  // Opens the store where it is: where `config` says, or where --migrate-to says if it has
  // gone there; the log says so. kFailedPrecondition: it is at home elsewhere, or not
  // complete; others as `open` has them.
  static absl::StatusOr<Home> Open(const StoreConfig& config, OpenEngineFn open);

  engine::Engine* engine() { return engine_.get(); }
  // Begins to move it, if it is to.
  void StartMove();
  // Ends that: done, or left for the next start.
  void StopMove() { move_.reset(); }
  void Close() {
    StopMove();
    engine_.reset();
  }

 private:
  std::unique_ptr<engine::Engine> engine_;
  moving::MovingEngine* moving_ = nullptr;  // Is engine_.
  moving::OnlineMoveOptions options_;
  std::unique_ptr<moving::OnlineMove> move_;
};

}  // namespace restante

#endif  // RESTANTE_SERVER_HOME_H_
