#include "server/access/callers.h"

#include <string_view>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/file_watch.h"
#include "server/base/status_macros.h"
#include "server/mail/address.h"

namespace restante::access {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", absl::CEscape(text), "\""); }

// Names stand in log lines and scope request ids: short, and nothing that needs
// quoting. `anonymous` is who calls where no callers are configured.
absl::Status CheckName(absl::string_view name) {
  constexpr size_t kMaxName = 64;
  const bool plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._@") ==
      absl::string_view::npos;
  if (name.empty() || name.size() > kMaxName || !plain) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(name), " is not 1 to ", kMaxName, " letters, digits and -._@"));
  }
  if (name == "anonymous") return absl::InvalidArgumentError("\"anonymous\" is whom nobody knows");
  return absl::OkStatus();
}

}  // namespace

struct Callers::Reader {
  std::string file;
  Callers out;

  std::string At(const toml::source_region& place) const {
    return absl::StrCat(absl::CEscape(file), ":", place.begin.line);
  }

  // A string, or an array of strings, each given to `take`.
  template <typename Take>
  absl::Status Strings(const toml::node& node, const std::string& where, Take take) const {
    if (const auto* one = node.as_string()) {
      return Annotate(take(one->get()), absl::StrCat(At(node.source()), where));
    }
    const toml::array* array = node.as_array();
    if (array == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(At(node.source()), where, ": must be a string or an array of strings"));
    }
    if (array->empty()) {
      return absl::InvalidArgumentError(absl::StrCat(At(node.source()), where, ": is empty"));
    }
    for (const toml::node& item : *array) {
      const auto* text = item.as_string();
      if (text == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat(At(item.source()), where, ": must be strings"));
      }
      RETURN_IF_ERROR(Annotate(take(text->get()), absl::StrCat(At(item.source()), where)));
    }
    return absl::OkStatus();
  }

  absl::Status Read(const toml::table& table) {
    auto caller = std::make_shared<Caller>();
    std::vector<std::string> certificates;
    std::vector<TokenHash> tokens;
    const toml::node* name = table.get("name");
    if (name == nullptr || name->as_string() == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(At(name == nullptr ? table.source() : name->source()),
                                                     ": caller: needs a name, a string"));
    }
    caller->name = name->as_string()->get();
    RETURN_IF_ERROR(Annotate(CheckName(caller->name), absl::StrCat(At(name->source()), ": caller: name")));
    const std::string who = absl::StrCat(": caller ", Quoted(caller->name));
    for (const CallerPtr& other : out.callers_) {
      if (other->name != caller->name) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(At(name->source()), who, ": name: another caller has it"));
    }
    for (const auto& [key, node] : table) {
      const absl::string_view k = View(key.str());
      const std::string where = absl::StrCat(who, ": ", absl::CEscape(k));
      if (k == "name") continue;
      if (k == "roles") {
        RETURN_IF_ERROR(Strings(node, where, [&](const std::string& text) {
          const std::optional<Role> role = ParseRole(text);
          if (!role.has_value()) {
            return absl::InvalidArgumentError(
                absl::StrCat(Quoted(text), " is none of ", Roles::All().ToString()));
          }
          caller->roles = caller->roles | *role;
          return absl::OkStatus();
        }));
      } else if (k == "domains") {
        caller->domains.emplace();
        RETURN_IF_ERROR(Strings(node, where, [&](const std::string& text) -> absl::Status {
          absl::StatusOr<std::string> domain = mail::ParseDomain(text);
          if (!domain.ok()) return Annotate(domain.status(), Quoted(text));
          caller->domains->insert(*std::move(domain));
          return absl::OkStatus();
        }));
      } else if (k == "certificate") {
        RETURN_IF_ERROR(Strings(node, where, [&](const std::string& text) {
          if (text.empty()) return absl::InvalidArgumentError("is empty");
          for (const auto& [taken, other] : out.certificates_) {
            if (taken == text) {
              return absl::InvalidArgumentError(
                  absl::StrCat(Quoted(text), ": is caller ", Quoted(other->name), "'s, too"));
            }
          }
          certificates.push_back(text);
          return absl::OkStatus();
        }));
      } else if (k == "token_sha256") {
        RETURN_IF_ERROR(Strings(node, where, [&](const std::string& text) -> absl::Status {
          ASSIGN_OR_RETURN(const TokenHash hash, TokenHash::Parse(text));
          for (const auto& [taken, other] : out.tokens_) {
            if (taken == hash) {
              return absl::InvalidArgumentError(absl::StrCat("is caller ", Quoted(other->name), "'s, too"));
            }
          }
          tokens.push_back(hash);
          return absl::OkStatus();
        }));
      } else {
        return absl::InvalidArgumentError(
            absl::StrCat(At(key.source()), where,
                         ": unknown key; there are name, roles, domains, certificate, token_sha256"));
      }
    }
    const std::string whole = absl::StrCat(At(table.source()), who);
    if (caller->roles.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(whole, ": roles: needs one or more of ", Roles::All().ToString()));
    }
    if (certificates.empty() && tokens.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(whole, ": needs certificate or token_sha256; nothing would tell who it is"));
    }
    for (std::string& text : certificates) out.certificates_.emplace_back(std::move(text), caller);
    for (const TokenHash& hash : tokens) out.tokens_.emplace_back(hash, caller);
    out.callers_.push_back(std::move(caller));
    return absl::OkStatus();
  }
};

absl::StatusOr<Callers> Callers::Parse(absl::string_view text, absl::string_view file) {
  Reader reader{std::string(file), {}};
  const toml::parse_result parsed = toml::parse(std::string_view(text.data(), text.size()));
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return absl::InvalidArgumentError(
        absl::StrCat(reader.At(error.source()), ": ", absl::CEscape(View(error.description()))));
  }
  for (const auto& [key, node] : parsed.table()) {
    const toml::array* callers = node.as_array();
    if (View(key.str()) != "caller" || callers == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(reader.At(key.source()), ": ",
                                                     absl::CEscape(View(key.str())),
                                                     ": unknown key; callers stand under [[caller]]"));
    }
    for (const toml::node& item : *callers) {
      const toml::table* table = item.as_table();
      if (table == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat(reader.At(item.source()), ": caller: callers stand under [[caller]]"));
      }
      RETURN_IF_ERROR(reader.Read(*table));
    }
  }
  return std::move(reader.out);
}

absl::StatusOr<Callers> Callers::Load(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(file));
  return Parse(text, file);
}

CallerPtr Callers::FindByCertificate(const std::vector<std::string>& names) const {
  for (const auto& [name, caller] : certificates_) {
    for (const std::string& given : names) {
      if (given == name) return caller;
    }
  }
  return nullptr;
}

CallerPtr Callers::FindByToken(const TokenHash& token) const {
  CallerPtr found;
  for (const auto& [known, caller] : tokens_) {
    if (known == token) found = caller;
  }
  return found;
}

size_t Callers::with_certificates_only() const {
  absl::flat_hash_set<CallerPtr> found;
  for (const auto& [name, caller] : certificates_) found.insert(caller);
  for (const auto& [token, caller] : tokens_) found.erase(caller);
  return found.size();
}

}  // namespace restante::access
