// Where the store is and how to get in: from flags, the environment, and a context
// of the configuration file, in this order of precedence.
//
//     # ~/.config/restante/config.toml
//     current-context = "production"
//
//     [context.production]
//     store = "store.example.org:8354"
//     store-ca = "ca.pem"                  # beside this file, where it is no absolute path
//     store-token-file = "production.token"
//
// A value `store-ca` is the flag `--store-ca`, the variable RESTANTE_STORE_CA and
// that key. The file is the one that `--config` or RESTANTE_CLI_CONFIG names, else
// restante/config.toml in $XDG_CONFIG_HOME or ~/.config, which need not be there.
#ifndef RESTANTE_CLIENT_CLI_SETTINGS_H_
#define RESTANTE_CLIENT_CLI_SETTINGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "restante/credentials.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace restante::cli {

class Settings {
 public:
  std::string store = "127.0.0.1:8354";
  StoreCredentials credentials;

  // The flags and their variables. To be called before the words are parsed.
  void AddTo(CLI::App& app);

  // Takes what neither a flag nor a variable has set from the file. UsageError with
  // the place: the file is no TOML, has unknown keys, or not the context.
  absl::Status ReadFile();

  // Whether the credentials can be used with the store. UsageError.
  absl::Status Check() const;

 private:
  struct Value {
    const char* key;
    std::string* target;
    CLI::Option* option;
    bool is_path;
  };

  std::string config_;
  std::string context_;
  std::vector<Value> values_;
};

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_SETTINGS_H_
