// Sizes and durations as people write them.
#ifndef RESTANTE_SERVER_BASE_UNITS_H_
#define RESTANTE_SERVER_BASE_UNITS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace restante {

// Octets from digits and at most one of K, M, G, T (powers of 1024, either
// case): `0`, `50M`. kInvalidArgument, naming the text, for anything else: a
// sign, a fraction, a blank, or more than 2^64 - 1.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text);

// Octets for people: exact where ParseSize can take it back in few digits
// (`10K`, `1023`), else with one decimal (`1.5M`), rounded.
std::string FormatSize(uint64_t bytes);

// Time from numbers with ms, s, m, h or d, the larger units first: `250ms`,
// `10m`, `1m30s`; `0` needs no unit. kInvalidArgument, naming the text, for
// anything else: a bare number, a sign, a fraction, or more than 100000 days.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// The same the other way: `30s`, `1d2h`; what is below a millisecond is cut off,
// a negative duration is `0`. (Write `restante::`: absl has the name, too.)
std::string FormatDuration(absl::Duration duration);

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_UNITS_H_
