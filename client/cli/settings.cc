#include "client/cli/settings.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "client/cli/context.h"
#include "server/base/file_watch.h"

namespace restante::cli {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string DefaultFile() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string folder = variable("XDG_CONFIG_HOME");
  if (folder.empty()) {
    folder = variable("HOME");
    if (folder.empty()) return "";
    folder += "/.config";
  }
  return folder + "/restante/config.toml";
}

std::string EnvironmentName(const char* key) {
  return absl::StrCat("RESTANTE_", absl::AsciiStrToUpper(absl::StrReplaceAll(key, {{"-", "_"}})));
}

}  // namespace

void Settings::AddTo(CLI::App& app) {
  app.add_option("--config", config_,
                 "Configuration file with contexts (default: ~/.config/restante/config.toml).")
      ->type_name("FILE")
      ->envname("RESTANTE_CLI_CONFIG");
  app.add_option("--context", context_, "Which of its contexts; else the one that it says.")
      ->type_name("NAME")
      ->envname("RESTANTE_CONTEXT");
  const auto add = [&](const char* key, std::string* target, const char* unit, const char* help) {
    CLI::Option* option = app.add_option(absl::StrCat("--", key), *target, help)
                              ->type_name(unit)
                              ->envname(EnvironmentName(key));
    values_.push_back({key, target, option, absl::string_view(unit) == "FILE"});
    return option;
  };
  add("store", &store, "ADDR[,ADDR...]", "Address of the store, or of several of the same mail.")
      ->capture_default_str();
  add("store-ca", &credentials.ca_file, "FILE",
      "The authorities that the store's certificate is believed by, PEM: speak TLS.");
  add("store-cert", &credentials.certificate_file, "FILE",
      "The certificate by which the store knows the caller, PEM.");
  add("store-key", &credentials.key_file, "FILE", "Its key, PEM without a passphrase.");
  add("store-token-file", &credentials.token_file, "FILE",
      "A file with the token by which the store knows the caller.");
}

absl::Status Settings::ReadFile() {
  const std::string file = config_.empty() ? DefaultFile() : config_;
  std::error_code ignored;
  const bool expected = !config_.empty() || !context_.empty();
  if (!expected && !std::filesystem::exists(file, ignored)) return absl::OkStatus();
  const absl::StatusOr<std::string> text = ReadSmallFile(file);
  if (!text.ok()) return UsageError(text.status().message());
  const toml::parse_result parsed = toml::parse(*text);
  const auto at = [&](const toml::source_region& place) {
    return absl::StrCat(file, ":", place.begin.line, ": ");
  };
  if (!parsed)
    return UsageError(absl::StrCat(at(parsed.error().source()), View(parsed.error().description())));

  const toml::table* contexts = nullptr;
  std::string name = context_;
  for (const auto& [key, node] : parsed.table()) {
    if (View(key.str()) == "current-context" && node.is_string()) {
      if (name.empty()) name = node.as_string()->get();
    } else if (View(key.str()) == "context" && node.is_table()) {
      contexts = node.as_table();
    } else {
      return UsageError(
          absl::StrCat(at(key.source()), View(key.str()),
                       ": there are only current-context, a string, and tables [context.NAME]"));
    }
  }
  if (name.empty()) return absl::OkStatus();
  const toml::node* chosen = contexts == nullptr ? nullptr : contexts->get(name);
  if (chosen == nullptr || !chosen->is_table()) {
    return UsageError(absl::StrCat(file, ": has no [context.", name, "]"));
  }
  for (const auto& [key, node] : *chosen->as_table()) {
    const Value* value = nullptr;
    for (const Value& known : values_) {
      if (View(key.str()) == known.key) value = &known;
    }
    if (value == nullptr) {
      return UsageError(absl::StrCat(at(key.source()), View(key.str()),
                                     ": unknown key; there are store, store-ca, store-cert, store-key, "
                                     "store-token-file"));
    }
    const toml::value<std::string>* string = node.as_string();
    if (string == nullptr)
      return UsageError(absl::StrCat(at(key.source()), value->key, ": must be a string"));
    if (value->option->count() > 0) continue;
    *value->target = string->get();
    if (value->is_path) *value->target = std::filesystem::path(file).parent_path() / *value->target;
  }
  return absl::OkStatus();
}

absl::Status Settings::Check() const {
  const absl::Status status = CheckCredentials(credentials, store);
  return status.ok() ? status : UsageError(status.message());
}

}  // namespace restante::cli
