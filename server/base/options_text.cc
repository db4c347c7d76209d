// What an OptionTable prints: the help, and configuration files.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/options.h"

namespace restante {
namespace {

// As it stands in a TOML file.
std::string TomlString(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", absl::string_view(&c, 1));
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

// Lines of at most `width` characters, broken at blanks.
std::vector<std::string> Wrapped(absl::string_view text, size_t width) {
  std::vector<std::string> lines(1);
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    absl::StrAppend(&lines.back(), lines.back().empty() ? "" : " ", word);
  }
  return lines;
}

}  // namespace

std::string OptionTable::Help() const {
  std::string text =
      absl::StrCat("Usage: ", program_, " [OPTION]...\n", summary_,
                   "\n\n"
                   "Each option is a flag, an environment variable and a key of the configuration\n"
                   "file; the first of these that is set counts. SIZE is in octets, or with K, M, G,\n"
                   "T (powers of 1024); DURATION has ms, s, m, h or d.\n\n");
  for (const Option& option : options_) {
    absl::StrAppend(&text, "  --", option.name, option.unit.empty() ? "" : " ", option.unit, "\n      ",
                    option.help, "\n      ", EnvironmentName(option.name));
    if (option.required) {
      absl::StrAppend(&text, "; required");
    } else {
      absl::StrAppend(&text, "; default: ", option.default_text.empty() ? "none" : option.default_text);
    }
    absl::StrAppend(&text, "\n");
  }
  absl::StrAppend(&text,
                  "  --check-config\n      Says whether the options will do, and ends.\n"
                  "  --print-config\n      Shows what all options are and where each was set, as a "
                  "configuration file, and ends.\n"
                  "  --example-config\n      Shows a configuration file with every option, and ends.\n"
                  "  --help\n      Shows this and ends.\n  --version\n      Shows the version and ends.\n");
  return text;
}

// A line of the file.
std::string OptionTable::Line(const Option& option, const std::vector<std::string>& values) {
  std::string text;
  if (option.is_list) {
    text = absl::StrCat(
        "[",
        absl::StrJoin(values, ", ", [](std::string* out, const std::string& v) { *out += TomlString(v); }),
        "]");
  } else if (option.is_bool || option.is_number) {
    text = values[0] == "1" && option.is_bool   ? "true"
           : values[0] == "0" && option.is_bool ? "false"
                                                : values[0];
  } else {
    text = TomlString(values.empty() ? "" : values[0]);
  }
  return absl::StrCat(option.name, " = ", text);
}

std::vector<std::string> OptionTable::Defaults(const Option& option) {
  return option.is_list ? SplitList(option.default_text) : std::vector<std::string>{option.default_text};
}

std::string OptionTable::PrintedConfig() const {
  std::string text;
  for (const Option& option : options_) {
    // A file cannot name a file.
    const bool given = !option.source.empty();
    absl::StrAppend(&text, option.name == "config" ? "# " : "",
                    Line(option, given ? option.values : Defaults(option)), "  # ",
                    given ? option.source : "default", "\n");
  }
  return text;
}

std::string OptionTable::ExampleConfig() const {
  std::string text =
      absl::StrCat("# Configuration of ", program_, " (TOML). ", summary_, "\n",
                   "# Every option is here with its default; a flag or an environment variable\n"
                   "# (RESTANTE_...) of the same name wins over this file.\n");
  for (const Option& option : options_) {
    if (option.name == "config") continue;
    absl::StrAppend(&text, "\n");
    for (const std::string& line : Wrapped(option.help, 76)) absl::StrAppend(&text, "# ", line, "\n");
    if (!option.unit.empty()) absl::StrAppend(&text, "# ", option.unit, "\n");
    absl::StrAppend(&text, option.required ? "" : "#", Line(option, Defaults(option)), "\n");
  }
  return text;
}

}  // namespace restante
