// Reverse and forward paths: RFC 5321, 4.1.2; RFC 6531, 3.3.
#ifndef RESTANTE_CLIENT_SMTP_PATH_H_
#define RESTANTE_CLIENT_SMTP_PATH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::smtp {

enum class PathKind { kReverse, kForward };

struct ParsedPath {
  // Without brackets and source route, otherwise as it was given (a quoted local
  // part stays quoted). Empty for the null reverse path; `postmaster`, in the
  // case it was given in, without a domain for `<postmaster>`.
  std::string address;
  // Whether the path, source route included, is ASCII. If not it is UTF-8.
  bool ascii = true;
  // What follows the closing bracket.
  absl::string_view rest;
};

// Reads one path from the front of `in`, which must begin with '<'. The closing
// bracket is the one outside quotes. A source route is read and dropped. `<>` is
// a reverse path only, `<postmaster>` a forward path only.
//
// More is taken than the grammar has: dots anywhere in a local part, underscores
// anywhere and hyphens at the ends of labels in domains, a dot behind them, any text
// in an address literal; such addresses exist, and who exists is the store's to say.
// UTF-8 is taken in local parts and domains, whether or not it may be used here. Control
// characters are not taken, nor more than 1000 octets.
//
// Errors: kInvalidArgument, with a literal that says what is wrong.
absl::StatusOr<ParsedPath> ParsePath(absl::string_view in, PathKind kind);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_PATH_H_
