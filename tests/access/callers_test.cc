#include "server/access/callers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace restante::access {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kHash = TokenHash::Of("a token").ToString();

std::string ErrorOf(const std::string& text) {
  const absl::StatusOr<Callers> callers = Callers::Parse(text, "callers.toml");
  if (callers.ok()) return "";
  EXPECT_EQ(callers.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(callers.status().message());
}

TEST(Callers, AreFoundByCertificateAndByToken) {
  const auto callers = Callers::Parse(absl::StrCat(R"(
[[caller]]
name = "mx1"
roles = ["mta"]
certificate = ["mx1.example.org", "spiffe://example.org/mx1"]

[[caller]]
name = "webmail"
roles = ["reader", "operator"]
domains = ["Example.ORG", "bücher.example"]
token_sha256 = ")",
                                                   kHash, "\"\n"),
                                      "callers.toml");
  ASSERT_TRUE(callers.ok()) << callers.status();
  EXPECT_EQ(callers->size(), 2u);
  const CallerPtr mx1 = callers->FindByCertificate({"some CN", "spiffe://example.org/mx1"});
  ASSERT_NE(mx1, nullptr);
  EXPECT_EQ(mx1->name, "mx1");
  EXPECT_EQ(mx1->roles, Roles(Role::kMta));
  EXPECT_FALSE(mx1->restricted());
  EXPECT_TRUE(mx1->MayTouch("anything.example"));
  const CallerPtr webmail = callers->FindByToken(TokenHash::Of("a token"));
  ASSERT_NE(webmail, nullptr);
  EXPECT_EQ(webmail->roles.ToString(), "reader, operator");
  EXPECT_TRUE(webmail->restricted());
  EXPECT_TRUE(webmail->MayTouch("example.org"));
  EXPECT_TRUE(webmail->MayTouch("xn--bcher-kva.example"));
  EXPECT_FALSE(webmail->MayTouch("sub.example.org"));
  EXPECT_FALSE(webmail->MayTouch("example.net"));
  EXPECT_EQ(callers->FindByCertificate({"mx2.example.org"}), nullptr);
  EXPECT_EQ(callers->FindByCertificate({}), nullptr);
  EXPECT_EQ(callers->FindByToken(TokenHash::Of("another")), nullptr);
}

TEST(Callers, MayBeNone) {
  const auto callers = Callers::Parse("# nobody yet\n", "callers.toml");
  ASSERT_TRUE(callers.ok()) << callers.status();
  EXPECT_EQ(callers->size(), 0u);
}

TEST(Callers, OfABadFileAreRefusedWithThePlace) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"[[caller]]\nname = \"a\nroles = []", "callers.toml:2: "},
      {"callers = 1\n", "callers.toml:1: callers: unknown key; callers stand under [[caller]]"},
      {"[caller]\nname = \"a\"\n", "callers.toml:1: caller: unknown key; callers stand under [[caller]]"},
      {"caller = [1]\n", "callers.toml:1: caller: callers stand under [[caller]]"},
      {"[[caller]]\nroles = [\"mta\"]\n", "callers.toml:1: caller: needs a name, a string"},
      {"[[caller]]\nname = 7\n", "callers.toml:2: caller: needs a name, a string"},
      {"[[caller]]\nname = \"a b\"\n", "callers.toml:2: caller: name: \"a b\" is not 1 to 64 letters"},
      {"[[caller]]\nname = \"anonymous\"\n",
       "callers.toml:2: caller: name: \"anonymous\" is whom nobody knows"},
      {"[[caller]]\nname = \"a\"\nroles = [\"mta\",\n\"admin\"]\ncertificate = \"a\"\n",
       "callers.toml:4: caller \"a\": roles: \"admin\" is none of mta, reader, operator"},
      {"[[caller]]\nname = \"a\"\nroles = 1\ncertificate = \"a\"\n",
       "callers.toml:3: caller \"a\": roles: must be a string or an array of strings"},
      {"[[caller]]\nname = \"a\"\nroles = [1]\ncertificate = \"a\"\n",
       "callers.toml:3: caller \"a\": roles: must be strings"},
      {"[[caller]]\nname = \"a\"\nroles = []\ncertificate = \"a\"\n",
       "callers.toml:3: caller \"a\": roles: is empty"},
      {"[[caller]]\nname = \"a\"\ncertificate = \"a\"\n",
       "callers.toml:1: caller \"a\": roles: needs one or more of mta, reader, operator"},
      {"[[caller]]\nname = \"a\"\nroles = \"mta\"\n",
       "callers.toml:1: caller \"a\": needs certificate or token_sha256"},
      {"[[caller]]\nname = \"a\"\nroles = \"mta\"\ncertificate = \"\"\n",
       "callers.toml:4: caller \"a\": certificate: is empty"},
      {"[[caller]]\nname = \"a\"\nroles = \"mta\"\ntoken_sha256 = \"abc\"\n",
       "callers.toml:4: caller \"a\": token_sha256: a SHA-256 is 64 hexadecimal digits, this has 3 "
       "characters"},
      {"[[caller]]\nname = \"a\"\nroles = \"mta\"\ncertificate = \"a\"\ndomains = []\n",
       "callers.toml:5: caller \"a\": domains: is empty"},
      {"[[caller]]\nname = \"a\"\nroles = \"mta\"\ncertificate = \"a\"\ndomains = [\"no..domain\"]\n",
       "callers.toml:5: caller \"a\": domains: \"no..domain\": "},
      {"[[caller]]\nname = \"a\"\nrole = \"mta\"\ncertificate = \"a\"\n",
       "callers.toml:3: caller \"a\": role: unknown key"},
      {"[[caller]]\nname = \"a\"\nroles = \"mta\"\ncertificate = \"a\"\n"
       "[[caller]]\nname = \"a\"\nroles = \"mta\"\ncertificate = \"b\"\n",
       "callers.toml:6: caller \"a\": name: another caller has it"},
      {"[[caller]]\nname = \"a\"\nroles = \"mta\"\ncertificate = \"a\"\n"
       "[[caller]]\nname = \"b\"\nroles = \"mta\"\ncertificate = \"a\"\n",
       "callers.toml:8: caller \"b\": certificate: \"a\": is caller \"a\"'s, too"},
  };
  for (const auto& [text, error] : cases) EXPECT_THAT(ErrorOf(text), StartsWith(error)) << text;
}

TEST(Callers, ThatShareATokenAreRefused) {
  std::string text;
  for (const char* name : {"a", "b"}) {
    absl::StrAppend(&text, "[[caller]]\nname = \"", name, "\"\nroles = \"mta\"\ntoken_sha256 = \"", kHash,
                    "\"\n");
  }
  EXPECT_EQ(ErrorOf(text), "callers.toml:8: caller \"b\": token_sha256: is caller \"a\"'s, too");
}

TEST(Callers, OfAFileThatIsNotThereSayWhy) {
  const auto callers = Callers::Load("/nonexistent/callers.toml");
  EXPECT_EQ(callers.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(callers.status().message(), "`/nonexistent/callers.toml`: No such file or directory");
}

}  // namespace
}  // namespace restante::access
