// The files of StoreCredentials, read.
#ifndef RESTANTE_CLIENT_LIB_CREDENTIALS_H_
#define RESTANTE_CLIENT_LIB_CREDENTIALS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "restante/credentials.h"
#include "server/base/pem_files.h"

namespace restante::client_internal {

// Whether they go together at all. kInvalidArgument.
absl::Status CheckCombination(const StoreCredentials& credentials, absl::string_view target);
// kFailedPrecondition: `FILE`: what is wrong.
absl::StatusOr<PemTexts> ReadCertificates(const StoreCredentials& credentials);

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_CREDENTIALS_H_
