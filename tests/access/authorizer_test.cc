#include "server/access/authorizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/fake_clock.h"

namespace restante::access {
namespace {

using ::testing::HasSubstr;

constexpr char kMethod[] = "/restante.v1.MessageService/ReadMessage";
const Rule kRead = {Role::kReader, Scope::kDomains};
const Rule kReadAnyMailbox = {Role::kReader | Role::kOperator, Scope::kStore};

Credentials Certificate(std::string name) { return {.certificate_names = {std::move(name)}}; }
Credentials Token(absl::string_view token) { return {.token = TokenHash::Of(token)}; }

class AuthorizerTest : public testing::Test {
 protected:
  AuthorizerTest() {
    std::string name = std::filesystem::temp_directory_path() / "restante-access-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    Write(absl::StrCat(Entry("mx1", "mta", "certificate = \"mx1.example.org\""),
                       Entry("reader", "reader", "certificate = \"reader.example.org\""),
                       Entry("webmail", "reader",
                             absl::StrCat("token_sha256 = \"", TokenHash::Of("webmail's").ToString(),
                                          "\"\ndomains = \"example.org\""))));
    auto loaded = Authorizer::Load(file(), /*certificates_are_asked_for=*/true, &clock_);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    authorizer_ = *std::move(loaded);
  }
  ~AuthorizerTest() override { std::filesystem::remove_all(directory_); }

  static std::string Entry(const std::string& name, const std::string& role, const std::string& more) {
    return absl::StrCat("[[caller]]\nname = \"", name, "\"\nroles = [\"", role, "\"]\n", more, "\n");
  }
  std::string file() const { return directory_ / "callers.toml"; }
  // In one step, as another file.
  void Write(const std::string& text) {
    std::ofstream(file() + ".new") << text;
    std::filesystem::rename(file() + ".new", file());
  }
  absl::StatusOr<Grant> Authorize(Credentials credentials, Rule rule = kRead) {
    return authorizer_->Authorize(kMethod, rule, std::move(credentials), "192.0.2.1");
  }
  absl::StatusCode CodeOf(Credentials credentials, Rule rule = kRead) {
    return Authorize(std::move(credentials), rule).status().code();
  }

  FakeClock clock_;
  std::filesystem::path directory_;
  std::unique_ptr<Authorizer> authorizer_;
};

TEST_F(AuthorizerTest, AllowsWhoHasTheRole) {
  const auto by_certificate = Authorize(Certificate("reader.example.org"));
  ASSERT_TRUE(by_certificate.ok()) << by_certificate.status();
  EXPECT_EQ(by_certificate->caller().name, "reader");
  EXPECT_EQ(by_certificate->peer(), "192.0.2.1");
  const auto by_token = Authorize(Token("webmail's"));
  ASSERT_TRUE(by_token.ok()) << by_token.status();
  EXPECT_EQ(by_token->caller().name, "webmail");
  EXPECT_EQ(authorizer_->denied().unauthenticated + authorizer_->denied().permission_denied, 0u);
}

TEST_F(AuthorizerTest, RefusesWhoIsNotKnown) {
  const auto nothing = Authorize({});
  EXPECT_EQ(nothing.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(nothing.status().message(), "needs a client certificate or a bearer token");
  EXPECT_EQ(CodeOf(Certificate("mx2.example.org")), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(Token("guessed")), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf({.malformed = true}), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(authorizer_->denied().unauthenticated, 4u);
}

TEST_F(AuthorizerTest, RefusesWhoLacksTheRole) {
  const auto denied = Authorize(Certificate("mx1.example.org"));
  EXPECT_EQ(denied.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(denied.status().message(),
            "restante.v1.MessageService/ReadMessage: needs the role reader, caller mx1 has mta");
  EXPECT_EQ(authorizer_->denied().permission_denied, 1u);
}

TEST_F(AuthorizerTest, RefusesEverybodyWhatNoRoleIsNamedFor) {
  EXPECT_EQ(CodeOf(Certificate("reader.example.org"), {}), absl::StatusCode::kPermissionDenied);
  Authorizer open(&clock_);
  EXPECT_EQ(open.Authorize(kMethod, {}, {}, "").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(AuthorizerTest, DoesNotFallBackFromABadTokenToTheCertificate) {
  Credentials both = Certificate("reader.example.org");
  both.token = TokenHash::Of("guessed");
  EXPECT_EQ(CodeOf(both), absl::StatusCode::kUnauthenticated);
  both.token = TokenHash::Of("webmail's");
  EXPECT_EQ(Authorize(both)->caller().name, "webmail");
  both.token.reset();
  both.malformed = true;
  EXPECT_EQ(CodeOf(both), absl::StatusCode::kUnauthenticated);
}

TEST_F(AuthorizerTest, KeepsARestrictedCallerToItsDomains) {
  const auto webmail = Authorize(Token("webmail's"));
  ASSERT_TRUE(webmail.ok()) << webmail.status();
  EXPECT_TRUE(webmail->CheckDomain("example.org").ok());
  const absl::Status denied = webmail->CheckDomain("example.net");
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(denied.message(), "domains/example.net: caller webmail is restricted to other domains");
  EXPECT_EQ(CodeOf(Token("webmail's"), kReadAnyMailbox), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf(Token("webmail's"), {Role::kReader, Scope::kNothing}), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(Certificate("reader.example.org"), kReadAnyMailbox), absl::StatusCode::kOk);
}

TEST_F(AuthorizerTest, TakesARoleAwayFromACallUnderWay) {
  auto grant = Authorize(Certificate("reader.example.org"));
  ASSERT_TRUE(grant.ok()) << grant.status();
  EXPECT_TRUE(grant->Renew().ok());
  Write(Entry("reader", "mta", "certificate = \"reader.example.org\""));
  authorizer_->Reload();
  EXPECT_EQ(grant->Renew().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(grant->Renew().code(), absl::StatusCode::kPermissionDenied) << "and not only once";
  Write("");
  authorizer_->Reload();
  EXPECT_EQ(grant->Renew().code(), absl::StatusCode::kUnauthenticated);
  Write(Entry("back", "reader", "certificate = \"reader.example.org\"\ndomains = \"example.org\""));
  authorizer_->Reload();
  EXPECT_TRUE(grant->Renew().ok());
  EXPECT_EQ(grant->caller().name, "back");
  EXPECT_FALSE(grant->CheckDomain("example.net").ok());
}

TEST_F(AuthorizerTest, ReadsTheFileOnceItHasChangedAndSettled) {
  authorizer_->ReloadIfChanged();
  Write(Entry("new", "reader", "certificate = \"new.example.org\""));
  authorizer_->ReloadIfChanged();
  EXPECT_EQ(CodeOf(Certificate("new.example.org")), absl::StatusCode::kUnauthenticated)
      << "may still be written";
  authorizer_->ReloadIfChanged();
  EXPECT_EQ(CodeOf(Certificate("new.example.org")), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(Certificate("reader.example.org")), absl::StatusCode::kUnauthenticated);
}

TEST_F(AuthorizerTest, KeepsTheCallersWhenTheNewFileIsBrokenAndSaysWhere) {
  Write("[[caller]]\nname = \"reader\"\nroles = [\"admin\"]\n");
  testing::internal::CaptureStderr();
  authorizer_->Reload();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("the callers stay as they were"));
  EXPECT_THAT(log, HasSubstr("callers.toml:3: caller"));
  EXPECT_EQ(CodeOf(Certificate("reader.example.org")), absl::StatusCode::kOk);
  std::filesystem::remove(file());
  authorizer_->Reload();
  EXPECT_EQ(CodeOf(Certificate("reader.example.org")), absl::StatusCode::kOk);
}

TEST_F(AuthorizerTest, LogsRefusalsWithoutTheToken) {
  testing::internal::CaptureStderr();
  EXPECT_FALSE(Authorize(Token("a token that nobody shall read")).ok());
  EXPECT_FALSE(Authorize(Certificate("mx1.example.org")).ok());
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("call denied"));
  EXPECT_THAT(log, HasSubstr("caller=unknown peer=192.0.2.1 method=restante.v1.MessageService/ReadMessage"));
  EXPECT_THAT(log, HasSubstr("caller=mx1 peer=192.0.2.1"));
  EXPECT_THAT(log, testing::Not(HasSubstr("nobody shall read")));
  EXPECT_THAT(log, testing::Not(HasSubstr(TokenHash::Of("a token that nobody shall read").ToString())));
}

TEST_F(AuthorizerTest, WarnsOfCallersWhoseCertificatesNobodyAsksFor) {
  for (const bool asked_for : {true, false}) {
    testing::internal::CaptureStderr();
    EXPECT_TRUE(Authorizer::Load(file(), asked_for, &clock_).ok());
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find("--tls-client-ca") == std::string::npos, asked_for) << said;
    EXPECT_EQ(said.find("callers=2") == std::string::npos, asked_for) << said;
  }
}

TEST_F(AuthorizerTest, WithoutCallersAllowsEverybodyAsAnonymous) {
  Authorizer open(&clock_);
  const auto grant = open.Authorize(kMethod, kReadAnyMailbox, {}, "127.0.0.1");
  ASSERT_TRUE(grant.ok()) << grant.status();
  EXPECT_EQ(grant->caller().name, "anonymous");
  EXPECT_TRUE(grant->CheckDomain("example.org").ok());
  open.Reload();
  open.ReloadIfChanged();
  EXPECT_TRUE(open.Authorize(kMethod, kRead, Certificate("x"), "127.0.0.1").ok());
}

}  // namespace
}  // namespace restante::access
