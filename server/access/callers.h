// The callers that a store knows, from a file (`--callers`, TOML):
//
//     [[caller]]
//     name = "mx1"                          # in logs
//     roles = ["mta"]                       # of mta, reader, operator (role.h)
//     certificate = "mx1.example.org"       # CN, or a DNS or URI name, of its certificate
//
//     [[caller]]
//     name = "webmail"
//     roles = ["reader"]
//     domains = ["example.org"]             # these only; without it, all
//     token_sha256 = "9f86d0…"              # of a bearer token: `restante token new`
//
// `certificate` and `token_sha256` may be arrays, so that a new one works before
// the old one goes; a caller needs one of them, and either is enough.
#ifndef RESTANTE_SERVER_ACCESS_CALLERS_H_
#define RESTANTE_SERVER_ACCESS_CALLERS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/access/caller.h"
#include "server/access/token.h"

namespace restante::access {

class Callers {
 public:
  // `file` is named in errors only. Everything is checked: unknown keys and roles,
  // a caller without a name, roles or credentials, names and credentials that two
  // callers share. kInvalidArgument: `FILE:LINE: caller "NAME": KEY: what is wrong`.
  static absl::StatusOr<Callers> Parse(absl::string_view text, absl::string_view file);
  // The same from the file; kFailedPrecondition if it cannot be read.
  static absl::StatusOr<Callers> Load(const std::string& file);

  // The caller whose certificate has one of these names; null if there is none.
  // Of several the first in the file.
  CallerPtr FindByCertificate(const std::vector<std::string>& names) const;
  // The caller whose token has this hash; null if there is none. Compares with all,
  // each in constant time.
  CallerPtr FindByToken(const TokenHash& token) const;

  size_t size() const { return callers_.size(); }
  // How many of them are known by no token.
  size_t with_certificates_only() const;

 private:
  struct Reader;

  std::vector<CallerPtr> callers_;
  std::vector<std::pair<std::string, CallerPtr>> certificates_;
  std::vector<std::pair<TokenHash, CallerPtr>> tokens_;
};

}  // namespace restante::access

#endif  // RESTANTE_SERVER_ACCESS_CALLERS_H_
