// An authority and what it signs, made by the openssl program when a test needs them.
#ifndef RESTANTE_TESTS_ACCESS_TEST_AUTHORITY_H_
#define RESTANTE_TESTS_ACCESS_TEST_AUTHORITY_H_

#include <filesystem>
#include <string>

namespace restante {

// A folder in the system's temporary one, gone with the object.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;

  std::string At(const std::string& name) const { return path_ / name; }
  // Replaces a file in one step; returns its path.
  std::string Write(const std::string& name, const std::string& contents) const;

 private:
  std::filesystem::path path_;
};

// A certificate and its key, as files.
struct TestPair {
  std::string certificate;
  std::string key;
};

// Writes `NAME.pem` and, for what it signs, `WHOM.pem` and `WHOM.key` into `folder`.
class TestAuthority {
 public:
  TestAuthority(const TestFolder& folder, std::string name);

  std::string certificate() const { return folder_.At(name_ + ".pem"); }
  // `names`: of subjectAltName, as in `DNS:localhost,IP:127.0.0.1`. With `expired`
  // it ended a day ago.
  TestPair Sign(const std::string& whom, const std::string& names = "", bool expired = false) const;

 private:
  const TestFolder& folder_;
  const std::string name_;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_ACCESS_TEST_AUTHORITY_H_
