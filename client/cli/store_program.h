// Runs restante-store for what needs no running store.
#ifndef RESTANTE_CLIENT_CLI_STORE_PROGRAM_H_
#define RESTANTE_CLIENT_CLI_STORE_PROGRAM_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace restante::cli {

// What it writes while it works.
struct StoreProgramOutput {
  // A line of a word and numbers: `restoring 512 4096`.
  std::function<void(absl::string_view word, const std::vector<uint64_t>& numbers)> figures;
  // Any other line.
  std::function<void(absl::string_view line)> text;
};

// Runs the restante-store beside this program, or else the one on PATH, until it
// ends. UsageError: there is none, or it takes the arguments for wrong;
// kFailedPrecondition with its last line: it ended with another status than 0.
absl::Status RunStoreProgram(const std::vector<std::string>& arguments, const StoreProgramOutput& output);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_STORE_PROGRAM_H_
