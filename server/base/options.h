// The options of a program: each registered once, settable three ways.
//
// An option `data-dir` is the flag `--data-dir`, the environment variable
// `RESTANTE_DATA_DIR` and the key `data-dir` of the configuration file (TOML,
// `--config FILE` or RESTANTE_CONFIG). The flag wins over the environment, the
// environment over the file, the file over the default. An unknown flag or key,
// a value that does not fit, a key given twice: one line that names the option
// and the place it came from.
//
//     restante::OptionTable options("restante-store", "The storage and quota service.");
//     options.String("data-dir", &config.data_dir, "DIR", "Where the mail is kept.");
//     options.Size("max-message", &config.max_message, "Largest message taken.");
//     if (std::optional<int> status = options.Parse(argc, argv, [&] { return config.Check(); })) {
//       return *status;
//     }
//
// Every program has besides, as flags only: --help, --version, --print-config (what
// all options are, as a configuration file that says where each came from),
// --check-config (whether they would do) and --example-config (a configuration file
// with every option, its meaning and its default).
//
// Targets keep their value as the default, which --help shows; they must outlive
// Parse. One thread. Nothing here throws.
#ifndef RESTANTE_SERVER_BASE_OPTIONS_H_
#define RESTANTE_SERVER_BASE_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace restante {

class OptionTable {
 public:
  // `program` begins every error line; `summary` is one sentence for --help.
  OptionTable(std::string program, std::string summary);

  // `unit` is what --help writes behind the name: DIR, ADDR, NAME, a unit.
  void String(absl::string_view name, std::string* target, absl::string_view unit, absl::string_view help);
  // A flag without a value, or `=true`, `=false`.
  void Bool(absl::string_view name, bool* target, absl::string_view help);
  void Uint32(absl::string_view name, uint32_t* target, absl::string_view unit, absl::string_view help);
  void Uint64(absl::string_view name, uint64_t* target, absl::string_view unit, absl::string_view help);
  // Octets with K, M, G, T (ParseSize). With `word` (`unlimited`) that word
  // stands for `word_value`.
  void Size(absl::string_view name, uint64_t* target, absl::string_view help, absl::string_view word = "",
            uint64_t word_value = UINT64_MAX);
  // With ms, s, m, h, d (ParseDuration).
  void Duration(absl::string_view name, absl::Duration* target, absl::string_view help);
  // Comma-separated and repeatable as a flag, comma-separated in the
  // environment, a string or an array of strings in the file.
  void List(absl::string_view name, std::vector<std::string>* target, absl::string_view unit,
            absl::string_view help);
  // One of `choices`.
  void Choice(absl::string_view name, std::string* target, std::vector<std::string> choices,
              absl::string_view help);

  // The option must be set to something that is not empty.
  void Require(absl::string_view name);

  // Sets all targets. `check` says what no single option can tell; its message names
  // the option. An exit status if the program is to end now: 0 after what was only to
  // be printed (on standard output), 2 after an error, 1 if what `check` met is no bad
  // option (not kInvalidArgument); one line on standard error.
  std::optional<int> Parse(int argc, const char* const* argv,
                           const std::function<absl::Status()>& check = nullptr);

  // The same without a process around it. `args` without the program's name;
  // `environment` gives a variable's value. kInvalidArgument with the error
  // line; on an error targets may be set in part. `*output` is filled, and to be
  // printed instead of going on, with one of the flags that every program has.
  absl::Status Resolve(const std::vector<std::string>& args,
                       const std::function<std::optional<std::string>(const std::string&)>& environment,
                       std::string* output, const std::function<absl::Status()>& check = nullptr);

 private:
  struct Option {
    std::string name;
    std::string unit;
    std::string help;
    std::string default_text;
    bool is_bool = false;
    bool is_list = false;
    bool is_number = false;
    bool required = false;
    // Sets the target from all values given at one place.
    std::function<absl::Status(const std::vector<std::string>&)> set;
    // From the strongest source seen so far: where it came from, and the values.
    std::string source;
    std::vector<std::string> values;
  };

  static std::string EnvironmentName(absl::string_view option);
  static std::vector<std::string> SplitList(absl::string_view text);
  Option& Add(absl::string_view name, absl::string_view unit, absl::string_view help,
              std::string default_text);
  // As Add, for an option that holds a single value.
  void AddSingle(absl::string_view name, absl::string_view unit, absl::string_view help,
                 std::string default_text, std::function<absl::Status(const std::string&)> set);
  Option* Find(absl::string_view name);
  absl::Status ReadFlags(const std::vector<std::string>& args, std::string* output);
  absl::Status ReadFile(const std::string& path);
  std::string Help() const;
  static std::string Line(const Option& option, const std::vector<std::string>& values);
  static std::vector<std::string> Defaults(const Option& option);
  std::string PrintedConfig() const;
  std::string ExampleConfig() const;

  std::string program_;
  std::string summary_;
  std::vector<Option> options_;
  std::string config_path_;
  bool print_config_ = false, check_config_ = false;
};

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_OPTIONS_H_
