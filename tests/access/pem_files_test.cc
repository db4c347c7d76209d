#include "server/base/pem_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/access/test_authority.h"

namespace restante {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class PemFilesTest : public testing::Test {
 protected:
  std::string ErrorOf(const PemFiles& files) {
    const auto texts = ReadPemFiles(files);
    EXPECT_EQ(texts.status().code(), absl::StatusCode::kFailedPrecondition);
    return std::string(texts.status().message());
  }

  TestFolder folder_;
  TestAuthority authority_{folder_, "authority"};
  TestPair pair_ = authority_.Sign("store.example.org");
};

TEST_F(PemFilesTest, AreReadTogether) {
  const auto texts = ReadPemFiles({pair_.certificate, pair_.key, authority_.certificate()});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_THAT(texts->certificate, HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_THAT(texts->key, HasSubstr("PRIVATE KEY"));
  EXPECT_THAT(texts->authorities, HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_GT(texts->expires, absl::Now() + absl::Hours(24));
  EXPECT_LT(texts->expires, absl::Now() + absl::Hours(72));
}

TEST_F(PemFilesTest, MayBeAuthoritiesAlone) {
  const auto texts = ReadPemFiles({"", "", authority_.certificate()});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(texts->expires, absl::InfiniteFuture());
}

TEST_F(PemFilesTest, ThatHaveExpiredAreRead) {
  const TestPair old = authority_.Sign("old", "", /*expired=*/true);
  const auto texts = ReadPemFiles({old.certificate, old.key, ""});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_LT(texts->expires, absl::Now());
}

TEST_F(PemFilesTest, OfNoUseAreNamedWithTheReason) {
  const TestPair other = authority_.Sign("other");
  const std::string junk = folder_.Write("junk", "no PEM\n");
  const std::string torn =
      folder_.Write("torn", "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n");
  const std::string cut =
      folder_.Write("cut", absl::StrCat(ReadPemFiles({"", "", authority_.certificate()})->authorities,
                                        "-----BEGIN CERTIFICATE-----\nMII"));
  ASSERT_EQ(std::system(absl::StrCat("openssl ec -in ", pair_.key, " -aes256 -passout pass:secret -out ",
                                     folder_.At("locked"), " 2>/dev/null")
                            .c_str()),
            0);
  const struct {
    PemFiles files;
    std::string error;
  } cases[] = {
      {{"/nonexistent", pair_.key, ""}, "`/nonexistent`: No such file or directory"},
      {{pair_.certificate, "/nonexistent", ""}, "`/nonexistent`: No such file or directory"},
      {{pair_.certificate, pair_.key, "/nonexistent"}, "`/nonexistent`: No such file or directory"},
      {{junk, pair_.key, ""}, absl::StrCat("`", junk, "`: no certificate: no start line")},
      {{pair_.key, pair_.key, ""}, absl::StrCat("`", pair_.key, "`: no certificate: no start line")},
      {{torn, pair_.key, ""}, absl::StrCat("`", torn, "`: no certificate: ")},
      {{pair_.certificate, junk, ""}, absl::StrCat("`", junk, "`: no private key: ")},
      {{pair_.certificate, folder_.At("locked"), ""},
       absl::StrCat("`", folder_.At("locked"), "`: no private key: it is locked with a passphrase")},
      {{pair_.certificate, other.key, ""},
       absl::StrCat("`", other.key, "`: is not the key of the certificate in `", pair_.certificate, "`")},
      {{pair_.certificate, pair_.key, junk}, absl::StrCat("`", junk, "`: no certificates: no start line")},
      {{pair_.certificate, pair_.key, cut}, absl::StrCat("`", cut, "`: no certificates: ")},
      {{folder_.Write("large", std::string(2 << 20, 'x')), pair_.key, ""},
       absl::StrCat("`", folder_.At("large"), "`: has more than 1 MiB")},
  };
  for (const auto& [files, error] : cases) EXPECT_THAT(ErrorOf(files), StartsWith(error));
}

}  // namespace
}  // namespace restante
