// Where a store is kept, as `restante migrate` and --migrate-to have it.
#ifndef RESTANTE_SERVER_PLACE_H_
#define RESTANTE_SERVER_PLACE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/ceph_options.h"
#include "server/engine/engine.h"

namespace restante {

struct Place {
  bool rados = false;     // The cluster that the Ceph options name; else
  std::string directory;  // a data directory, an absolute path.

  // `embedded:DIR` or `rados`. kInvalidArgument, one line with the option's name.
  static absl::StatusOr<Place> Parse(absl::string_view option, const std::string& text);
  // The same each time: a move is recognised by it.
  std::string Name(const CephOptions& ceph) const;

  friend bool operator==(const Place&, const Place&) = default;
};

// Opens it as moving/move.h has it: to be moved from or to, not to be served.
absl::StatusOr<std::unique_ptr<engine::Engine>> OpenToMove(const Place& place, const CephOptions& ceph,
                                                           bool create);

}  // namespace restante

#endif  // RESTANTE_SERVER_PLACE_H_
