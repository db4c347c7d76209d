#include "tests/access/test_authority.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace restante {
namespace {

void Openssl(const std::string& arguments) {
  const std::string command = absl::StrCat("openssl ", arguments, " 2>&1");
  FILE* output = ::popen(command.c_str(), "r");
  ASSERT_NE(output, nullptr);
  std::string said;
  for (int c = std::fgetc(output); c != EOF; c = std::fgetc(output)) said += static_cast<char>(c);
  ASSERT_EQ(::pclose(output), 0) << command << "\n" << said;
}

constexpr char kNewKey[] = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

}  // namespace

TestFolder::TestFolder() {
  std::string name = std::filesystem::temp_directory_path() / "restante-test-XXXXXX";
  path_ = ::mkdtemp(name.data());
}

TestFolder::~TestFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TestFolder::Write(const std::string& name, const std::string& contents) const {
  std::ofstream(At(name + ".new"), std::ios::binary) << contents;
  std::filesystem::rename(At(name + ".new"), At(name));
  return At(name);
}

TestAuthority::TestAuthority(const TestFolder& folder, std::string name)
    : folder_(folder), name_(std::move(name)) {
  Openssl(absl::StrCat("req -x509 ", kNewKey, " -days 2 -subj '/CN=", name_, "' -keyout ",
                       folder_.At(name_ + ".key"), " -out ", certificate()));
}

TestPair TestAuthority::Sign(const std::string& whom, const std::string& names, bool expired) const {
  const TestPair pair = {folder_.At(whom + ".pem"), folder_.At(whom + ".key")};
  const std::string request = folder_.At(whom + ".csr");
  const std::string extensions =
      folder_.Write(whom + ".ext", names.empty() ? "basicConstraints=CA:FALSE\n"
                                                 : absl::StrCat("subjectAltName=", names, "\n"));
  Openssl(absl::StrCat("req ", kNewKey, " -subj '/CN=", whom, "' -keyout ", pair.key, ".new -out ", request));
  Openssl(absl::StrCat("x509 -req -in ", request, " -CA ", certificate(), " -CAkey ",
                       folder_.At(name_ + ".key"), " -CAcreateserial -days ", expired ? -1 : 2, " -extfile ",
                       extensions, " -out ", pair.certificate, ".new"));
  std::filesystem::rename(pair.key + ".new", pair.key);
  std::filesystem::rename(pair.certificate + ".new", pair.certificate);
  return pair;
}

}  // namespace restante
