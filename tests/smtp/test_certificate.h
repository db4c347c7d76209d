// Certificates for tests, made when they are needed.
#ifndef RESTANTE_TESTS_SMTP_TEST_CERTIFICATE_H_
#define RESTANTE_TESTS_SMTP_TEST_CERTIFICATE_H_

#include <filesystem>
#include <string>

namespace restante::smtp {

// A self-signed certificate for mx.example.org and its key, in PEM.
struct TestCertificate {
  std::string certificate;
  std::string key;

  // Another one, with another key, at each call.
  static TestCertificate Make();
};

// A folder with `certificate.pem` and `key.pem`, gone with the object.
class CertificateFolder {
 public:
  CertificateFolder();
  ~CertificateFolder();
  CertificateFolder(const CertificateFolder&) = delete;

  std::string certificate_file() const { return path_ / "certificate.pem"; }
  std::string key_file() const { return path_ / "key.pem"; }
  const std::filesystem::path& path() const { return path_; }

  // Replaces a file in one step, as tools for certificates do.
  void Write(const std::string& file, const std::string& contents) const;
  // Replaces both.
  void Write(const TestCertificate& pair) const;

 private:
  std::filesystem::path path_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_TESTS_SMTP_TEST_CERTIFICATE_H_
