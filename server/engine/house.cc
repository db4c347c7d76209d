#include "server/engine/house.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace restante::engine {

std::string TimeText(int64_t time_us) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixMicros(time_us), absl::UTCTimeZone());
}

absl::Status WhyNotServed(const stored::House& house) {
  const std::string when = TimeText(house.time_us());
  switch (house.state()) {
    case stored::House::MOVING_IN:
      return absl::FailedPreconditionError(
          absl::StrCat("the store is being moved here from ", house.other(), " since ", when,
                       ", and not complete; the same move again completes it"));
    case stored::House::MOVING_OUT:
      return absl::FailedPreconditionError(
          absl::StrCat("the store is being moved to ", house.other(), " since ", when,
                       "; the same move again completes that, `restante migrate --stay` gives it up"));
    case stored::House::MOVED_OUT:
      return absl::FailedPreconditionError(absl::StrCat(
          "the store was moved to ", house.other(), " on ", when,
          "; serve it there (`restante migrate --stay` gives up all that has come there since)"));
    default:
      return absl::OkStatus();
  }
}

}  // namespace restante::engine
