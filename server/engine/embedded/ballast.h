// Room that is held back for the day when another program has taken the rest: one
// preallocated file for octets, and some empty files for inodes. Given up piece by
// piece where a write meets a full disk, and made again when there is room.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_BALLAST_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_BALLAST_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

// Any thread.
class Ballast {
 public:
  struct Amount {
    uint64_t bytes = 0;
    uint64_t files = 0;
  };
  // How much of it somebody may have: bodies half of it, for the log needs room
  // when they do not (an expunge), and the log three quarters, for what it holds has
  // to reach the index, and readers have nothing else.
  enum class Share { kHalf, kThreeQuarters, kAll };

  // Takes over what an earlier process left: a file `path`, and empty files `0`,
  // `1` ... in the directory `spares`. `files` must outlive it.
  Ballast(Files* files, std::string path, std::string spares);

  // Gives up about as much as is wanted, or what is left. False: nothing was.
  bool GiveUp(Amount wanted, Share share);

  // Makes it `whole`, or brings it nearer to that: half of what `space` says is
  // free stays free. kResourceExhausted: there is less than it says.
  //
  // Does nothing in the first call after GiveUp, for what it was given up for may
  // not be written yet.
  absl::Status Restore(Amount whole, const Files::Space& space);

  Amount held() const;
  // `called` after something was given up, on the thread that did it and under
  // that one's locks; null: nobody.
  void WhenGivenUp(std::function<void()> called);

 private:
  absl::Status Resize(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RestoreBytes(uint64_t free) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RestoreFiles(uint64_t free) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string SparePath(uint64_t number) const;

  Files* const files_;
  const std::string path_;
  const std::string directory_;

  mutable absl::Mutex mutex_;
  Amount whole_ ABSL_GUARDED_BY(mutex_);
  Amount held_ ABSL_GUARDED_BY(mutex_);
  // The file may be one of holes, if somebody copied it.
  bool allocated_ ABSL_GUARDED_BY(mutex_) = false;
  bool given_up_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> called_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_BALLAST_H_
