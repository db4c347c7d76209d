#include "server/ceph_options.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace restante {
namespace {

// They become part of capabilities and of commands to monitors, which have no quotes.
absl::Status CheckName(const char* option, const std::string& name) {
  const auto may_be = [](char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-'; };
  if (std::all_of(name.begin(), name.end(), may_be)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--", option, " ", name, ": may have letters, digits, `.`, `_` and `-`, and nothing else"));
}

}  // namespace

void CephOptions::Register(OptionTable& options, const char* keyring_help) {
  options.String("ceph-conf", &conf, "FILE", "The cluster's ceph.conf, which says where its monitors are.");
  options.String("ceph-user", &user, "NAME", "The store's user there, without `client.`.");
  options.String("ceph-keyring", &keyring, "FILE", keyring_help);
  options.String("ceph-namespace", &name_space, "NAME",
                 "RADOS namespace of the store's objects, for several stores in the same pools.");
  options.String("pool-index", &pool_index, "NAME", "The pool of mailboxes, replicated and best on flash.");
  options.String("pool-body", &pool_body, "NAME", "The pool of messages' texts.");
  options.Bool("allow-min-size-1", &allow_min_size_1,
               "Take pools that acknowledge what a single copy holds: one broken disk loses mail.");
}

absl::Status CephOptions::Check() const {
  const struct {
    const char* option;
    const std::string& value;
  } required[] = {
      {"ceph-conf", conf}, {"ceph-user", user}, {"pool-index", pool_index}, {"pool-body", pool_body}};
  for (const auto& [option, value] : required) {
    if (value.empty()) return absl::InvalidArgumentError(absl::StrCat("--", option, ": is empty"));
  }
  RETURN_IF_ERROR(CheckName("ceph-user", user));
  RETURN_IF_ERROR(CheckName("ceph-namespace", name_space));
  RETURN_IF_ERROR(CheckName("pool-index", pool_index));
  return CheckName("pool-body", pool_body);
}

}  // namespace restante
