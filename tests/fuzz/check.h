// What a fuzzer says when a promise is broken.
#ifndef RESTANTE_TESTS_FUZZ_CHECK_H_
#define RESTANTE_TESTS_FUZZ_CHECK_H_

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace restante::fuzz {

// Ends the program, and with it the search, unless `holds`.
inline void Check(bool holds, absl::string_view promise, absl::string_view seen = "") {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n  %s\n", std::string(promise).c_str(), absl::CHexEscape(seen).c_str());
  std::abort();
}

// The same for two texts that have to be equal.
inline void CheckEqual(absl::string_view one, absl::string_view other, absl::string_view promise) {
  if (one == other) return;
  std::fprintf(stderr, "broken: %s\n  %s\n  %s\n", std::string(promise).c_str(),
               absl::CHexEscape(one).c_str(), absl::CHexEscape(other).c_str());
  std::abort();
}

}  // namespace restante::fuzz

#endif  // RESTANTE_TESTS_FUZZ_CHECK_H_
