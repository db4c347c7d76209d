// Structured log lines on standard error, as text or as JSON.
//
// One event is one line: a time (UTC), a level, the program, a text and fields.
// Whatever a client sent may be put into text and values: line ends, control
// characters, quotes, bidirectional overrides and octets that are not UTF-8 are
// escaped, so nobody can forge a line, a field or a terminal sequence.
//
// Any thread may call Log. A line is written before Log returns.
#ifndef RESTANTE_SERVER_BASE_LOG_H_
#define RESTANTE_SERVER_BASE_LOG_H_

#include <concepts>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace restante {

// An audit line says who did, or was refused, what; no level hides it.
enum class LogLevel { kDebug, kInfo, kWarning, kError, kAudit };

// A key and a value: text, a number or a truth value. Borrows the key.
struct LogField {
  LogField(absl::string_view k, absl::string_view v) : key(k), value(v), quoted(true) {}
  LogField(absl::string_view k, const char* v) : LogField(k, absl::string_view(v)) {}
  LogField(absl::string_view k, const std::string& v) : LogField(k, absl::string_view(v)) {}
  LogField(absl::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  LogField(absl::string_view k, std::integral auto v) : key(k), value(std::to_string(v)) {}

  absl::string_view key;
  std::string value;
  // Whether JSON quotes it.
  bool quoted = false;
};

// Sets what all later lines look like. `format` is `text` or `json`; `level` is
// `debug`, `info`, `warning` or `error`, the lowest that is written.
// kInvalidArgument for others. Call it before threads start; without it: text,
// info.
absl::Status InitLog(absl::string_view program, absl::string_view format, absl::string_view level);

// Whether lines of this level are written; saves gathering the fields.
bool LogEnabled(LogLevel level);

void Log(LogLevel level, absl::string_view text, const std::vector<LogField>& fields = {});

// The line itself without its end, for tests and for those who write elsewhere.
// `wall_micros` since 1970 UTC.
std::string FormatLogLine(bool json, int64_t wall_micros, LogLevel level, absl::string_view program,
                          absl::string_view text, const std::vector<LogField>& fields);

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_LOG_H_
