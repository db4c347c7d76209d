// Calls that take long and tell their progress.
#ifndef RESTANTE_CLIENT_CLI_LONG_WORK_H_
#define RESTANTE_CLIENT_CLI_LONG_WORK_H_

#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/context.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {

// How a response is shown.
template <typename Response>
struct LongWork {
  std::string what;     // For the bar: `scrubbing`.
  bool octets = false;  // What the bar counts, else things.
  std::function<std::pair<uint64_t, uint64_t>(const Response&)> progress;  // Done and total.
  // What it found, one line each, for standard error; null: it finds nothing.
  std::function<std::vector<std::string>(const Response&)> findings;
};

// Makes the call with a bar while it runs and a line for each finding at once.
// Returns its last response.
template <typename Request, typename Response>
absl::StatusOr<Response> Watch(Context& context,
                               absl::Status (Client::*call)(const Request&,
                                                            const std::function<void(const Response&)>&),
                               const Request& request, const LongWork<Response>& work) {
  Response last;
  Progress bar(work.what, work.octets);
  RETURN_IF_ERROR((context.client().*call)(request, [&](const Response& response) {
    std::vector<std::string> lines;
    if (work.findings) lines = work.findings(response);
    if (!lines.empty()) bar.Hide();
    for (const std::string& line : lines) context.err << "restante: " << Printable(line) << "\n";
    context.err.flush();
    const auto [done, total] = work.progress(response);
    bar.Show(done, total);
    last = response;
  }));
  return last;
}

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_LONG_WORK_H_
