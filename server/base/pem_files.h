// Certificates, keys and authorities in files, checked before anything uses them.
//
// TLS libraries say little about a file that is of no use, and some throw away
// what they had. So whoever shows or checks certificates reads them by this, and
// keeps what he has when it does not go well.
#ifndef RESTANTE_SERVER_BASE_PEM_FILES_H_
#define RESTANTE_SERVER_BASE_PEM_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace restante {

struct PemFiles {
  // The own certificate first, then its chain; and its key, without a passphrase,
  // in this or another file. Both or none.
  std::string certificate;
  std::string key;
  // The certificates of authorities that peers are believed by; may be none.
  std::string authorities;
};

struct PemTexts {
  std::string certificate;
  std::string key;
  std::string authorities;
  // When the own certificate ends; InfiniteFuture without one.
  absl::Time expires = absl::InfiniteFuture();
};

// Reads them: whether there is a certificate and a key, that it is its key, and
// that each authority is a certificate. One that has expired is read, too.
//
// kFailedPrecondition: `FILE`: what is wrong: why.
absl::StatusOr<PemTexts> ReadPemFiles(const PemFiles& files);

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_PEM_FILES_H_
