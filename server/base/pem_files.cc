#include "server/base/pem_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/file_watch.h"
#include "server/base/status_macros.h"

namespace restante {
namespace {

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

BioPtr Over(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
}

absl::Status Unusable(absl::string_view file, absl::string_view what, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("`", file, "`: ", what, ": ", why));
}

// Why the last call of OpenSSL did not do.
std::string Reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "no reason given" : reason;
}

// Whether reading ended because there is no further block in the text.
bool AtEnd() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

// Nobody is there to be asked. `asked` is a bool.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// The first of the certificates in `text`, all of which have to be readable.
absl::StatusOr<CertificatePtr> ReadCertificates(const std::string& text, const std::string& file,
                                                absl::string_view what) {
  const BioPtr bio = Over(text);
  CertificatePtr first(nullptr, X509_free);
  while (true) {
    CertificatePtr next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
    if (next == nullptr) break;
    if (first == nullptr) first = std::move(next);
  }
  const bool all = AtEnd();
  const std::string reason = Reason();
  if (first == nullptr || !all) return Unusable(file, what, reason);
  return first;
}

absl::Status CheckKey(const std::string& text, const PemFiles& files, X509* certificate) {
  const BioPtr bio = Over(text);
  bool asked = false;
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, &asked), EVP_PKEY_free);
  if (key == nullptr) {
    const std::string reason = Reason();
    return Unusable(files.key, "no private key", asked ? "it is locked with a passphrase" : reason);
  }
  if (X509_check_private_key(certificate, key.get()) == 1) return absl::OkStatus();
  ERR_clear_error();
  return absl::FailedPreconditionError(
      absl::StrCat("`", files.key, "`: is not the key of the certificate in `", files.certificate, "`"));
}

absl::Time ExpiryOf(const X509* certificate) {
  struct tm t = {};
  ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &t);
  return absl::FromTimeT(timegm(&t));
}

}  // namespace

absl::StatusOr<PemTexts> ReadPemFiles(const PemFiles& files) {
  ERR_clear_error();
  PemTexts texts;
  if (!files.certificate.empty()) {
    ASSIGN_OR_RETURN(texts.certificate, ReadSmallFile(files.certificate));
    ASSIGN_OR_RETURN(const CertificatePtr own,
                     ReadCertificates(texts.certificate, files.certificate, "no certificate"));
    ASSIGN_OR_RETURN(texts.key, ReadSmallFile(files.key));
    RETURN_IF_ERROR(CheckKey(texts.key, files, own.get()));
    texts.expires = ExpiryOf(own.get());
  }
  if (!files.authorities.empty()) {
    ASSIGN_OR_RETURN(texts.authorities, ReadSmallFile(files.authorities));
    RETURN_IF_ERROR(ReadCertificates(texts.authorities, files.authorities, "no certificates").status());
  }
  return texts;
}

}  // namespace restante
