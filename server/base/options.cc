#include "server/base/options.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"
#include "server/base/units.h"

namespace restante {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", absl::CEscape(text), "\""); }

// Digits only: no sign, no blank, no hexadecimal.
template <typename Int>
absl::Status ParseWhole(const std::string& text, Int* target) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  Int value;
  if (!digits || !absl::SimpleAtoi(text, &value)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), " is not a whole number below 2^", 8 * sizeof(Int)));
  }
  *target = value;
  return absl::OkStatus();
}

// A value of the file as it would stand on the command line; nothing for a date
// or a table.
std::optional<std::string> ScalarText(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return absl::StrCat(whole->get());
  if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
  if (const auto* fraction = node.as_floating_point()) return absl::StrCat(fraction->get());
  return std::nullopt;
}

}  // namespace

std::string OptionTable::EnvironmentName(absl::string_view option) {
  return absl::StrCat("RESTANTE_", absl::AsciiStrToUpper(absl::StrReplaceAll(option, {{"-", "_"}})));
}

std::vector<std::string> OptionTable::SplitList(absl::string_view text) {
  std::vector<std::string> items;
  for (absl::string_view item : absl::StrSplit(text, ',')) {
    item = absl::StripAsciiWhitespace(item);
    if (!item.empty()) items.emplace_back(item);
  }
  return items;
}

OptionTable::OptionTable(std::string program, std::string summary)
    : program_(std::move(program)), summary_(std::move(summary)) {
  String("config", &config_path_, "FILE",
         "Configuration file (TOML); its keys are the names of these options.");
}

OptionTable::Option& OptionTable::Add(absl::string_view name, absl::string_view unit, absl::string_view help,
                                      std::string default_text) {
  Option& option = options_.emplace_back();
  option.name = std::string(name);
  option.unit = std::string(unit);
  option.help = std::string(help);
  option.default_text = std::move(default_text);
  return option;
}

void OptionTable::AddSingle(absl::string_view name, absl::string_view unit, absl::string_view help,
                            std::string default_text, std::function<absl::Status(const std::string&)> set) {
  Add(name, unit, help, std::move(default_text)).set =
      [set = std::move(set)](const std::vector<std::string>& values) {
        return values.size() == 1 ? set(values[0]) : absl::InvalidArgumentError("given more than once");
      };
}

void OptionTable::String(absl::string_view name, std::string* target, absl::string_view unit,
                         absl::string_view help) {
  AddSingle(name, unit, help, *target, [target](const std::string& text) {
    *target = text;
    return absl::OkStatus();
  });
}

void OptionTable::Bool(absl::string_view name, bool* target, absl::string_view help) {
  AddSingle(name, "", help, *target ? "true" : "false", [target](const std::string& text) {
    if (text != "true" && text != "false" && text != "1" && text != "0") {
      return absl::InvalidArgumentError(absl::StrCat(Quoted(text), " is neither true nor false"));
    }
    *target = text == "true" || text == "1";
    return absl::OkStatus();
  });
  options_.back().is_bool = true;
}

void OptionTable::Uint32(absl::string_view name, uint32_t* target, absl::string_view unit,
                         absl::string_view help) {
  AddSingle(name, unit, help, absl::StrCat(*target),
            [target](const std::string& text) { return ParseWhole(text, target); });
  options_.back().is_number = true;
}

void OptionTable::Uint64(absl::string_view name, uint64_t* target, absl::string_view unit,
                         absl::string_view help) {
  AddSingle(name, unit, help, absl::StrCat(*target),
            [target](const std::string& text) { return ParseWhole(text, target); });
  options_.back().is_number = true;
}

void OptionTable::Size(absl::string_view name, uint64_t* target, absl::string_view help,
                       absl::string_view word, uint64_t word_value) {
  const bool has_word = !word.empty();
  AddSingle(
      name, has_word ? absl::StrCat("SIZE|", word) : "SIZE", help,
      has_word && *target == word_value ? std::string(word) : FormatSize(*target),
      [target, has_word, word = std::string(word), word_value](const std::string& text) -> absl::Status {
        if (has_word && text == word) {
          *target = word_value;
          return absl::OkStatus();
        }
        ASSIGN_OR_RETURN(*target, ParseSize(text));
        return absl::OkStatus();
      });
}

void OptionTable::Duration(absl::string_view name, absl::Duration* target, absl::string_view help) {
  AddSingle(name, "DURATION", help, restante::FormatDuration(*target),
            [target](const std::string& text) -> absl::Status {
              ASSIGN_OR_RETURN(*target, ParseDuration(text));
              return absl::OkStatus();
            });
}

void OptionTable::List(absl::string_view name, std::vector<std::string>* target, absl::string_view unit,
                       absl::string_view help) {
  Option& option = Add(name, absl::StrCat(unit, "[,", unit, "...]"), help, absl::StrJoin(*target, ","));
  option.is_list = true;
  option.set = [target](const std::vector<std::string>& values) {
    *target = values;
    return absl::OkStatus();
  };
}

void OptionTable::Choice(absl::string_view name, std::string* target, std::vector<std::string> choices,
                         absl::string_view help) {
  const std::string unit = absl::StrJoin(choices, "|");
  AddSingle(name, unit, help, *target, [target, choices = std::move(choices)](const std::string& text) {
    for (const std::string& choice : choices) {
      if (choice != text) continue;
      *target = text;
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), " is none of ", absl::StrJoin(choices, ", ")));
  });
}

void OptionTable::Require(absl::string_view name) { Find(name)->required = true; }

OptionTable::Option* OptionTable::Find(absl::string_view name) {
  for (Option& option : options_) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

absl::Status OptionTable::ReadFlags(const std::vector<std::string>& args, std::string* output) {
  for (size_t i = 0; i < args.size(); ++i) {
    absl::string_view name = args[i];
    if (name == "--help" || name == "-h") {
      *output = Help();
      return absl::OkStatus();
    }
    if (name == "--version") {
      *output = absl::StrCat(program_, " ", RESTANTE_VERSION, "\n");
      return absl::OkStatus();
    }
    if (name == "--example-config") {
      *output = ExampleConfig();
      return absl::OkStatus();
    }
    if (name == "--print-config" || name == "--check-config") {
      (name == "--print-config" ? print_config_ : check_config_) = true;
      continue;
    }
    if (!absl::ConsumePrefix(&name, "--") || name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(args[i]), ": unexpected argument (--help lists the options)"));
    }
    const size_t equals = name.find('=');
    const bool attached = equals != absl::string_view::npos;
    Option* option = Find(name.substr(0, equals));
    if (option == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("--", absl::CEscape(name.substr(0, equals)),
                                                     ": unknown option (--help lists the options)"));
    }
    std::string value = "true";
    if (attached) {
      value = std::string(name.substr(equals + 1));
    } else if (!option->is_bool) {
      if (i + 1 == args.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--", option->name, ": needs a value, ", option->unit));
      }
      value = args[++i];
    }
    option->source = absl::StrCat("--", option->name);
    if (option->is_list) {
      for (std::string& item : SplitList(value)) option->values.push_back(std::move(item));
    } else {
      option->values.push_back(std::move(value));
    }
  }
  return absl::OkStatus();
}

absl::Status OptionTable::ReadFile(const std::string& path) {
  const toml::parse_result parsed = toml::parse_file(path);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    // Line 0: the file could not be read at all.
    const auto line = error.source().begin.line;
    return absl::InvalidArgumentError(absl::StrCat(absl::CEscape(path),
                                                   line == 0 ? "" : absl::StrCat(":", line), ": ",
                                                   absl::CEscape(View(error.description()))));
  }
  for (const auto& [key, node] : parsed.table()) {
    const std::string place = absl::StrCat(absl::CEscape(path), ":", key.source().begin.line);
    Option* option = Find(View(key.str()));
    if (option == nullptr || option->name == "config") {
      return absl::InvalidArgumentError(absl::StrCat(place, ": ", absl::CEscape(View(key.str())),
                                                     ": unknown key (--help lists the options)"));
    }
    if (!option->source.empty()) continue;
    option->source = absl::StrCat(place, ": ", option->name);
    const toml::array* array = node.as_array();
    if (array != nullptr && option->is_list) {
      for (const toml::node& item : *array) {
        const toml::value<std::string>* text = item.as_string();
        if (text == nullptr) {
          return absl::InvalidArgumentError(absl::StrCat(option->source, ": must be an array of strings"));
        }
        option->values.push_back(text->get());
      }
      continue;
    }
    std::optional<std::string> text = ScalarText(node);
    if (!text.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          option->source, ": must be ", option->is_list ? "an array of strings" : "a single value",
          option->is_bool ? ", true or false" : ""));
    }
    option->values = option->is_list ? SplitList(*text) : std::vector<std::string>{*std::move(text)};
  }
  return absl::OkStatus();
}

absl::Status OptionTable::Resolve(
    const std::vector<std::string>& args,
    const std::function<std::optional<std::string>(const std::string&)>& environment, std::string* output,
    const std::function<absl::Status()>& check) {
  print_config_ = check_config_ = false;
  for (Option& option : options_) {
    option.source.clear();
    option.values.clear();
  }
  output->clear();
  RETURN_IF_ERROR(ReadFlags(args, output));
  if (!output->empty()) return absl::OkStatus();
  for (Option& option : options_) {
    if (!option.source.empty()) continue;
    const std::string variable = EnvironmentName(option.name);
    std::optional<std::string> value = environment(variable);
    if (!value.has_value()) continue;
    option.source = variable;
    option.values = option.is_list ? SplitList(*value) : std::vector<std::string>{*std::move(value)};
  }
  const Option& config = *Find("config");
  if (!config.source.empty()) {
    RETURN_IF_ERROR(Annotate(config.set(config.values), config.source));
    RETURN_IF_ERROR(ReadFile(config_path_));
  }
  for (const Option& option : options_) {
    if (!option.source.empty()) RETURN_IF_ERROR(Annotate(option.set(option.values), option.source));
  }
  for (const Option& option : options_) {
    if (!option.required) continue;
    const bool empty = option.source.empty() ? option.default_text.empty()
                                             : option.values.empty() || option.values[0].empty();
    if (empty) {
      return absl::InvalidArgumentError(absl::StrCat("--", option.name, " ", option.unit, " is needed (or ",
                                                     EnvironmentName(option.name), ")"));
    }
  }
  if (check) RETURN_IF_ERROR(check());
  if (print_config_) {
    *output = PrintedConfig();
  } else if (check_config_) {
    *output = absl::StrCat(program_, ": the configuration will do\n");
  }
  return absl::OkStatus();
}

std::optional<int> OptionTable::Parse(int argc, const char* const* argv,
                                      const std::function<absl::Status()>& check) {
  std::string output;
  const absl::Status status = Resolve(
      std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc),
      [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
      },
      &output, check);
  if (!status.ok()) {
    std::fprintf(stderr, "%s: %s\n", program_.c_str(), std::string(status.message()).c_str());
    return absl::IsInvalidArgument(status) ? 2 : 1;
  }
  if (output.empty()) return std::nullopt;
  std::fputs(output.c_str(), stdout);
  return 0;
}

}  // namespace restante
