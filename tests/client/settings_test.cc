// The command line's settings: flags, environment and file, and which of them wins.
#include "client/cli/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace restante::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() {
    std::string pattern = (fs::temp_directory_path() / "restante-settings-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    fs::create_directory(directory_ + "/restante");
    Set("XDG_CONFIG_HOME", directory_);
  }
  ~SettingsTest() override {
    for (const std::string& name : set_) ::unsetenv(name.c_str());
    fs::remove_all(directory_);
  }

  void Set(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  std::string File(const std::string& text, const std::string& name = "config.toml") {
    const std::string path = directory_ + "/restante/" + name;
    std::ofstream(path) << text;
    return path;
  }
  // Into settings_.
  absl::Status Resolve(std::vector<std::string> words = {}) {
    settings_ = Settings();
    CLI::App app;
    settings_.AddTo(app);
    words.insert(words.begin(), "restante");
    std::vector<const char*> argv;
    for (const std::string& word : words) argv.push_back(word.c_str());
    app.parse(static_cast<int>(argv.size()), argv.data());
    return settings_.ReadFile();
  }
  std::string ErrorOf(std::vector<std::string> words = {}) {
    return std::string(Resolve(std::move(words)).message());
  }

  std::string directory_;
  std::vector<std::string> set_;
  Settings settings_;
};

constexpr char kTwo[] =
    "current-context = \"one\"\n"
    "[context.one]\nstore = \"one:1\"\nstore-ca = \"one.pem\"\n"
    "[context.two]\nstore = \"two:2\"\nstore-token-file = \"/two/token\"\n";

TEST_F(SettingsTest, HaveDefaultsWithoutAFile) {
  ASSERT_TRUE(Resolve().ok());
  EXPECT_EQ(settings_.store, "127.0.0.1:8354");
  EXPECT_EQ(settings_.credentials.ca_file, "");
}

TEST_F(SettingsTest, AreThoseOfTheContextThatIsCurrentOrNamed) {
  File(kTwo);
  ASSERT_TRUE(Resolve().ok());
  EXPECT_EQ(settings_.store, "one:1");
  EXPECT_EQ(settings_.credentials.ca_file, directory_ + "/restante/one.pem");
  EXPECT_EQ(settings_.credentials.token_file, "");
  ASSERT_TRUE(Resolve({"--context", "two"}).ok());
  EXPECT_EQ(settings_.store, "two:2");
  EXPECT_EQ(settings_.credentials.ca_file, "");
  EXPECT_EQ(settings_.credentials.token_file, "/two/token");
  Set("RESTANTE_CONTEXT", "two");
  ASSERT_TRUE(Resolve().ok());
  EXPECT_EQ(settings_.store, "two:2");
  ASSERT_TRUE(Resolve({"--context", "one"}).ok());
  EXPECT_EQ(settings_.store, "one:1");
}

TEST_F(SettingsTest, PreferFlagsToTheEnvironmentAndThatToTheFile) {
  const struct {
    const char* flag;
    const char* variable;
    std::string Settings::*plain;
    std::string StoreCredentials::*credential;
  } values[] = {
      {"store", "RESTANTE_STORE", &Settings::store, nullptr},
      {"store-ca", "RESTANTE_STORE_CA", nullptr, &StoreCredentials::ca_file},
      {"store-cert", "RESTANTE_STORE_CERT", nullptr, &StoreCredentials::certificate_file},
      {"store-key", "RESTANTE_STORE_KEY", nullptr, &StoreCredentials::key_file},
      {"store-token-file", "RESTANTE_STORE_TOKEN_FILE", nullptr, &StoreCredentials::token_file},
  };
  for (const auto& [flag, variable, plain, credential] : values) {
    SCOPED_TRACE(flag);
    for (int sources = 0; sources < 8; ++sources) {
      const bool by_flag = sources & 1, by_variable = sources & 2, by_file = sources & 4;
      File(absl::StrCat("current-context = \"c\"\n[context.c]\n",
                        by_file ? absl::StrCat(flag, " = \"/file\"\n") : ""));
      if (by_variable) Set(variable, "/variable");
      std::vector<std::string> words;
      if (by_flag) words = {absl::StrCat("--", flag), "/flag"};
      ASSERT_TRUE(Resolve(words).ok());
      const std::string& got = plain != nullptr ? settings_.*plain : settings_.credentials.*credential;
      EXPECT_EQ(got, by_flag       ? "/flag"
                     : by_variable ? "/variable"
                     : by_file     ? "/file"
                     : plain       ? "127.0.0.1:8354"
                                   : "")
          << sources;
      ::unsetenv(variable);
    }
  }
}

TEST_F(SettingsTest, AreReadFromAnotherFileThatIsNamed) {
  File(kTwo);
  const std::string other = File("current-context = \"x\"\n[context.x]\nstore = \"x:1\"\n", "other.toml");
  ASSERT_TRUE(Resolve({"--config", other}).ok());
  EXPECT_EQ(settings_.store, "x:1");
  Set("RESTANTE_CLI_CONFIG", other);
  ASSERT_TRUE(Resolve().ok());
  EXPECT_EQ(settings_.store, "x:1");
}

TEST_F(SettingsTest, OfABadFileAreRefusedWithThePlace) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"current-context = ", ":1: "},
      {"current-context = 1\n", ":1: current-context: there are only"},
      {"store = \"a:1\"\n", ":1: store: there are only current-context, a string, and tables [context.NAME]"},
      {"current-context = \"x\"\n", ": has no [context.x]"},
      {"current-context = \"x\"\n[context]\nx = 1\n", ": has no [context.x]"},
      {"current-context = \"x\"\n[context.x]\ntoken = \"secret\"\n",
       ":3: token: unknown key; there are store, "},
      {"current-context = \"x\"\n[context.x]\nstore = 1\n", ":3: store: must be a string"},
  };
  for (const auto& [text, error] : cases) {
    const std::string path = File(text);
    EXPECT_THAT(ErrorOf(), HasSubstr(path + error)) << text;
  }
  fs::remove(directory_ + "/restante/config.toml");
  EXPECT_THAT(ErrorOf({"--context", "x"}), EndsWith("restante/config.toml`: No such file or directory"));
  EXPECT_THAT(ErrorOf({"--config", "/nonexistent"}), EndsWith("`/nonexistent`: No such file or directory"));
}

TEST_F(SettingsTest, AreCheckedBeforeTheyAreUsed) {
  ASSERT_TRUE(Resolve({"--store", "store.example.org:1", "--store-token-file", "/nonexistent"}).ok());
  EXPECT_THAT(std::string(settings_.Check().message()),
              HasSubstr("the token would go in the clear to store.example.org:1"));
  ASSERT_TRUE(Resolve({"--store-token-file", "/nonexistent"}).ok());
  EXPECT_EQ(settings_.Check().message(), "`/nonexistent`: No such file or directory");
}

}  // namespace
}  // namespace restante::cli
