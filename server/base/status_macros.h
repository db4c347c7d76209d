// First failure wins: return it from the function.
#ifndef RESTANTE_SERVER_BASE_STATUS_MACROS_H_
#define RESTANTE_SERVER_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#define RESTANTE_CONCAT_INNER(a, b) a##b
#define RESTANTE_CONCAT(a, b) RESTANTE_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(expression): `expression` gives an absl::Status.
#define RETURN_IF_ERROR(expression)                           \
  do {                                                        \
    if (absl::Status status_ = (expression); !status_.ok()) { \
      return status_;                                         \
    }                                                         \
  } while (false)

// ASSIGN_OR_RETURN(lhs, expression): `expression` gives an absl::StatusOr.
#define ASSIGN_OR_RETURN(lhs, expression) \
  ASSIGN_OR_RETURN_INNER(RESTANTE_CONCAT(status_or_, __LINE__), lhs, expression)
#define ASSIGN_OR_RETURN_INNER(temporary, lhs, expression) \
  auto temporary = (expression);                           \
  if (!temporary.ok()) {                                   \
    return std::move(temporary).status();                  \
  }                                                        \
  lhs = *std::move(temporary)

namespace restante {

// The same error with `where` in front of its text: `where: text`. Each layer
// adds where it was, once, so that one message reads as a path.
inline absl::Status Annotate(const absl::Status& status, absl::string_view where) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(where, ": ", status.message()));
}

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_STATUS_MACROS_H_
