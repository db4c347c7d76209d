#include "server/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/utf8.h"

namespace restante {
namespace {

struct Settings {
  std::string program = "restante";
  bool json = false;
  // Writes whole lines under a lock; the line is ours, so the pattern is bare.
  std::shared_ptr<spdlog::logger> logger = [] {
    auto made =
        std::make_shared<spdlog::logger>("restante", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    return made;
  }();
};

Settings& TheSettings() {
  static Settings* const settings = new Settings;
  return *settings;
}

constexpr absl::string_view kLevels[] = {"debug", "info", "warning", "error", "audit"};

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kAudit:
      return spdlog::level::critical;
  }
  return spdlog::level::err;
}

// Control characters, line and paragraph separators, bidirectional controls.
bool IsHarmful(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200E && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

// Appends `text` as the inside of a JSON string. In JSON an octet that is not
// UTF-8 becomes U+FFFD, in text `\xNN`.
void AppendEscaped(absl::string_view text, bool json, std::string* out) {
  while (!text.empty()) {
    const CodePoint c = DecodeUtf8(text);
    if (c.octets == 0) {
      if (json) {
        absl::StrAppend(out, "\\ufffd");
      } else {
        absl::StrAppendFormat(out, "\\x%02x", static_cast<unsigned char>(text[0]));
      }
      text.remove_prefix(1);
      continue;
    }
    if (c.value == '"' || c.value == '\\') {
      absl::StrAppend(out, "\\", text.substr(0, 1));
    } else if (c.value == '\n') {
      absl::StrAppend(out, "\\n");
    } else if (c.value == '\r') {
      absl::StrAppend(out, "\\r");
    } else if (c.value == '\t') {
      absl::StrAppend(out, "\\t");
    } else if (IsHarmful(c.value)) {
      absl::StrAppendFormat(out, "\\u%04x", c.value);
    } else {
      absl::StrAppend(out, text.substr(0, c.octets));
    }
    text.remove_prefix(c.octets);
  }
}

void AppendQuoted(absl::string_view text, bool json, std::string* out) {
  out->push_back('"');
  AppendEscaped(text, json, out);
  out->push_back('"');
}

// Whether a value can stand in a text line without quotes.
bool IsPlain(absl::string_view value) {
  if (value.empty()) return false;
  for (const char c : value) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=') return false;
  }
  return true;
}

}  // namespace

std::string FormatLogLine(bool json, int64_t wall_micros, LogLevel level, absl::string_view program,
                          absl::string_view text, const std::vector<LogField>& fields) {
  const std::string time =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMicros(wall_micros), absl::UTCTimeZone());
  const absl::string_view level_name = kLevels[static_cast<int>(level)];
  std::string line;
  if (json) {
    absl::StrAppend(&line, "{\"time\":\"", time, "\",\"level\":\"", level_name, "\",\"program\":");
    AppendQuoted(program, true, &line);
    absl::StrAppend(&line, ",\"text\":");
    AppendQuoted(text, true, &line);
    for (const LogField& field : fields) {
      line.push_back(',');
      AppendQuoted(field.key, true, &line);
      line.push_back(':');
      if (field.quoted) {
        AppendQuoted(field.value, true, &line);
      } else {
        line += field.value;
      }
    }
    line.push_back('}');
    return line;
  }
  absl::StrAppend(&line, time, " ", level_name, " ", program, ": ");
  AppendEscaped(text, false, &line);
  for (const LogField& field : fields) {
    line.push_back(' ');
    AppendEscaped(field.key, false, &line);
    line.push_back('=');
    if (IsPlain(field.value)) {
      line += field.value;
    } else {
      AppendQuoted(field.value, false, &line);
    }
  }
  return line;
}

absl::Status InitLog(absl::string_view program, absl::string_view format, absl::string_view level) {
  if (format != "text" && format != "json") {
    return absl::InvalidArgumentError(
        absl::StrCat("log format \"", absl::CEscape(format), "\" is none of text, json"));
  }
  for (int i = 0; i < 4; ++i) {
    if (level != kLevels[i]) continue;
    Settings& settings = TheSettings();
    settings.program = std::string(program);
    settings.json = format == "json";
    settings.logger->set_level(ToSpdlog(static_cast<LogLevel>(i)));
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("log level \"", absl::CEscape(level), "\" is none of debug, info, warning, error"));
}

bool LogEnabled(LogLevel level) { return TheSettings().logger->should_log(ToSpdlog(level)); }

void Log(LogLevel level, absl::string_view text, const std::vector<LogField>& fields) {
  if (!LogEnabled(level)) return;
  const Settings& settings = TheSettings();
  const std::string line =
      FormatLogLine(settings.json, Clock::System()->WallMicros(), level, settings.program, text, fields);
  settings.logger->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace restante
