#include "server/base/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <map>

namespace restante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A program with one option of each kind, its environment and its file.
struct Program {
  Program() {
    table.String("data-dir", &data_dir, "DIR", "Where the mail is kept.");
    table.Bool("create", &create, "Starts a new store.");
    table.Uint32("threads", &threads, "COUNT", "Threads.");
    table.Uint64("records", &records, "COUNT", "Records.");
    table.Size("max-message", &max_message, "Largest message.");
    table.Size("default-bytes", &default_bytes, "Room in a mailbox.", "unlimited");
    table.Duration("idle", &idle, "How long.");
    table.List("store", &stores, "ADDR", "Stores.");
    table.Choice("log-format", &log_format, {"text", "json"}, "Look of the log.");
  }
  ~Program() { std::remove(path.c_str()); }

  void File(const std::string& text) { std::ofstream(path) << text; }

  // The error line; empty if there is none.
  std::string Resolve(const std::vector<std::string>& args) {
    const absl::Status status = table.Resolve(
        args,
        [this](const std::string& name) -> std::optional<std::string> {
          const auto found = environment.find(name);
          return found == environment.end() ? std::nullopt : std::optional(found->second);
        },
        &output);
    return std::string(status.message());
  }
  std::string ResolveFile(const std::string& text) {
    File(text);
    return Resolve({"--config", path});
  }

  const std::string path = testing::TempDir() + "/options_test." + std::to_string(getpid()) + ".toml";
  OptionTable table{"restante-test", "A program."};
  std::map<std::string, std::string> environment;
  std::string output;

  std::string data_dir = "/var/lib/restante";
  bool create = false;
  uint32_t threads = 2;
  uint64_t records = 7;
  uint64_t max_message = 50 << 20;
  uint64_t default_bytes = UINT64_MAX;
  absl::Duration idle = absl::Seconds(30);
  std::vector<std::string> stores = {"127.0.0.1:8354"};
  std::string log_format = "text";
};

TEST(Options, DefaultsStandWhereNothingIsSet) {
  Program p;
  EXPECT_EQ(p.Resolve({}), "");
  EXPECT_EQ(p.data_dir, "/var/lib/restante");
  EXPECT_EQ(p.threads, 2u);
  EXPECT_THAT(p.stores, ElementsAre("127.0.0.1:8354"));
}

TEST(Options, EveryKindIsReadFromFlags) {
  Program p;
  EXPECT_EQ(p.Resolve({"--data-dir=/a=b", "--create", "--threads", "8", "--records", "18446744073709551615",
                       "--max-message", "1M", "--default-bytes", "2G", "--idle", "1m30s", "--store",
                       "a:1,b:2", "--store", "c:3", "--log-format", "json"}),
            "");
  EXPECT_EQ(p.data_dir, "/a=b");
  EXPECT_TRUE(p.create);
  EXPECT_EQ(p.threads, 8u);
  EXPECT_EQ(p.records, UINT64_MAX);
  EXPECT_EQ(p.max_message, 1u << 20);
  EXPECT_EQ(p.default_bytes, uint64_t{2} << 30);
  EXPECT_EQ(p.idle, absl::Seconds(90));
  EXPECT_THAT(p.stores, ElementsAre("a:1", "b:2", "c:3"));
  EXPECT_EQ(p.log_format, "json");
}

TEST(Options, EveryKindIsReadFromTheEnvironment) {
  Program p;
  p.environment = {{"RESTANTE_DATA_DIR", "/e"},     {"RESTANTE_CREATE", "true"},
                   {"RESTANTE_THREADS", "9"},       {"RESTANTE_MAX_MESSAGE", "3K"},
                   {"RESTANTE_IDLE", "5ms"},        {"RESTANTE_STORE", "x:1, y:2"},
                   {"RESTANTE_LOG_FORMAT", "json"}, {"RESTANTE_RECORDS", "1"},
                   {"RESTANTE_DEFAULT_BYTES", "0"}, {"RESTANTE_OF_ANOTHER_ONE", "no"}};
  EXPECT_EQ(p.Resolve({}), "");
  EXPECT_EQ(p.data_dir, "/e");
  EXPECT_TRUE(p.create);
  EXPECT_EQ(p.threads, 9u);
  EXPECT_EQ(p.records, 1u);
  EXPECT_EQ(p.max_message, 3072u);
  EXPECT_EQ(p.default_bytes, 0u);
  EXPECT_EQ(p.idle, absl::Milliseconds(5));
  EXPECT_THAT(p.stores, ElementsAre("x:1", "y:2"));
  EXPECT_EQ(p.log_format, "json");
}

TEST(Options, EveryKindIsReadFromTheFile) {
  Program p;
  p.default_bytes = 0;
  EXPECT_EQ(p.ResolveFile("# a comment\n"
                          "data-dir = \"/f\"  # another\n"
                          "create = true\n"
                          "threads = 3\nrecords = 4\nmax-message = 1048576\n"
                          "default-bytes = 'unlimited'\nidle = \"2h\"\nstore = [\"p:1\", \"q,r:2\"]\n"
                          "log-format = \"json\"\n"),
            "");
  EXPECT_EQ(p.data_dir, "/f");
  EXPECT_TRUE(p.create);
  EXPECT_EQ(p.threads, 3u);
  EXPECT_EQ(p.records, 4u);
  EXPECT_EQ(p.max_message, 1u << 20);
  EXPECT_EQ(p.default_bytes, UINT64_MAX);
  EXPECT_EQ(p.idle, absl::Hours(2));
  EXPECT_THAT(p.stores, ElementsAre("p:1", "q,r:2"));
  EXPECT_EQ(p.log_format, "json");
}

TEST(Options, TheFlagWinsOverTheEnvironmentAndThatOverTheFile) {
  Program p;
  p.File("threads = 1\nrecords = 1\nmax-message = \"1K\"\ncreate = true\nstore = [\"file:1\", \"file:2\"]\n");
  p.environment = {{"RESTANTE_CONFIG", p.path},
                   {"RESTANTE_RECORDS", "2"},
                   {"RESTANTE_MAX_MESSAGE", "2K"},
                   {"RESTANTE_STORE", "environment:1"}};
  EXPECT_EQ(p.Resolve({"--max-message", "3K", "--create=false"}), "");
  EXPECT_EQ(p.threads, 1u);
  EXPECT_EQ(p.records, 2u);
  EXPECT_EQ(p.max_message, 3072u);
  EXPECT_FALSE(p.create);
  EXPECT_THAT(p.stores, ElementsAre("environment:1"));
}

TEST(Options, ABadFlagIsNamed) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--nonsense", "1"}, "--nonsense: unknown option"},
      {{"--data", "x"}, "--data: unknown option"},
      {{"-x"}, "\"-x\": unexpected argument"},
      {{"--"}, "\"--\": unexpected argument"},
      {{"word"}, "\"word\": unexpected argument"},
      {{""}, "\"\": unexpected argument"},
      {{"--threads"}, "--threads: needs a value, COUNT"},
      {{"--threads", "-1"}, "--threads: \"-1\" is not a whole number below 2^32"},
      {{"--threads", "4294967296"}, "--threads: \"4294967296\" is not a whole number"},
      {{"--records", "0x1"}, "--records: \"0x1\" is not a whole number below 2^64"},
      {{"--create=yes"}, "--create: \"yes\" is neither true nor false"},
      {{"--idle", "5"}, "--idle: \"5\" is not a duration"},
      {{"--max-message", "5\n5"}, "--max-message: \"5\\n5\" is not a size"},
      {{"--max-message", "unlimited"}, "--max-message: \"unlimited\" is not a size"},
      {{"--log-format", "xml"}, "--log-format: \"xml\" is none of text, json"},
      {{"--threads", "1", "--threads", "2"}, "--threads: given more than once"},
      {{"--config", "/nowhere/x.toml"}, "/nowhere/x.toml: "}};
  for (const auto& [args, error] : cases) EXPECT_THAT(Program().Resolve(args), StartsWith(error));
}

TEST(Options, ABadVariableIsNamed) {
  Program p;
  p.environment = {{"RESTANTE_MAX_MESSAGE", "5X"}};
  EXPECT_THAT(p.Resolve({}), StartsWith("RESTANTE_MAX_MESSAGE: \"5X\" is not a size"));
  EXPECT_EQ(p.Resolve({"--max-message", "5K"}), "") << "what the flag overrules is not looked at";
}

TEST(Options, ABadLineOfTheFileIsNamedByItsNumber) {
  const std::pair<const char*, const char*> cases[] = {
      {"\n\nnonsense = 1\n", ":3: nonsense: unknown key"},
      {"data_dir = \"x\"\n", ":1: data_dir: unknown key"},
      {"[smtp]\nlisten = \"x\"\n", ":1: smtp: unknown key"},
      {"config = \"other.toml\"\n", ":1: config: unknown key"},
      {"# x\nthreads = \"many\"\n", ":2: threads: \"many\" is not a whole number"},
      {"threads = -1\n", ":1: threads: \"-1\" is not a whole number"},
      {"threads = 1.5\n", ":1: threads: \"1.5\" is not a whole number"},
      {"create = \"yes\"\n", ":1: create: \"yes\" is neither true nor false"},
      {"idle = 5\n", ":1: idle: \"5\" is not a duration"},
      {"threads = [1]\n", ":1: threads: must be a single value"},
      {"data-dir = { a = 1 }\n", ":1: data-dir: must be a single value"},
      {"store = [1]\n", ":1: store: must be an array of strings"},
      {"store = 1979-05-27\n", ":1: store: must be an array of strings"},
      {"threads = 1\nthreads = 2\n", ":2: "},
      {"threads\n", ":1: "},
      {"data-dir = \"open\n", ":1: "}};
  for (const auto& [text, error] : cases) {
    Program p;
    const std::string line = p.ResolveFile(text);
    EXPECT_THAT(line, StartsWith(p.path + error)) << text;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  }
}

TEST(Options, AKeyThatAFlagOverrulesMustStillBeKnown) {
  Program p;
  p.File("nonsense = 1\n");
  EXPECT_THAT(p.Resolve({"--config", p.path, "--threads", "1"}), HasSubstr(":1: nonsense: unknown key"));
}

TEST(Options, ARequiredOptionMustBeSetToSomething) {
  for (const std::vector<std::string>& args : {std::vector<std::string>{}, {"--data-dir", ""}}) {
    Program p;
    p.data_dir.clear();
    OptionTable table("p", "s");
    table.String("data-dir", &p.data_dir, "DIR", "Where the mail is kept.");
    table.Require("data-dir");
    const auto nothing = [](const std::string&) { return std::optional<std::string>(); };
    EXPECT_EQ(table.Resolve(args, nothing, &p.output).message(),
              "--data-dir DIR is needed (or RESTANTE_DATA_DIR)");
  }
}

TEST(Options, HelpTellsUnitDefaultAndVariableOfEveryOption) {
  Program p;
  p.environment = {{"RESTANTE_THREADS", "nonsense"}};
  EXPECT_EQ(p.Resolve({"--threads", "3", "--help"}), "");
  for (const char* part :
       {"A program.", "--data-dir DIR\n", "RESTANTE_DATA_DIR; default: /var/lib/restante\n", "--create\n",
        "RESTANTE_CREATE; default: false\n", "--max-message SIZE\n", "RESTANTE_MAX_MESSAGE; default: 50M\n",
        "--default-bytes SIZE|unlimited\n", "default: unlimited\n", "--idle DURATION\n", "default: 30s\n",
        "--store ADDR[,ADDR...]\n", "default: 127.0.0.1:8354\n", "--log-format text|json\n",
        "RESTANTE_CONFIG"}) {
    EXPECT_THAT(p.output, HasSubstr(part));
  }
}

TEST(Options, WhatIsPrintedSaysWhereEachCameFromAndIsReadAgain) {
  Program program;
  program.environment["RESTANTE_IDLE"] = "90s";
  program.File("max-message = \"10M\"\nthreads = 9\n");
  ASSERT_EQ(program.Resolve({"--config", program.path, "--print-config", "--store", "a,b", "--create",
                             "--data-dir", "/a \"b\"\\c\n"}),
            "");
  const std::string printed = program.output;
  EXPECT_THAT(printed, HasSubstr("data-dir = \"/a \\\"b\\\"\\\\c\\u000a\"  # --data-dir\n"));
  EXPECT_THAT(printed, HasSubstr("create = true  # --create\n"));
  EXPECT_THAT(printed, HasSubstr("threads = 9  # " + program.path + ":2: threads\n"));
  EXPECT_THAT(printed, HasSubstr("records = 7  # default\n"));
  EXPECT_THAT(printed, HasSubstr("idle = \"90s\"  # RESTANTE_IDLE\n"));
  EXPECT_THAT(printed, HasSubstr("store = [\"a\", \"b\"]  # --store\n"));

  Program again;
  ASSERT_EQ(again.ResolveFile(printed), "");
  EXPECT_EQ(again.output, "");
  EXPECT_EQ(again.data_dir, "/a \"b\"\\c\n");
  EXPECT_TRUE(again.create);
  EXPECT_EQ(again.threads, 9u);
  EXPECT_EQ(again.max_message, uint64_t{10} << 20);
  EXPECT_EQ(again.idle, absl::Seconds(90));
  EXPECT_THAT(again.stores, ElementsAre("a", "b"));
}

TEST(Options, TheExampleHasEveryOptionAndChangesNothing) {
  Program program;
  ASSERT_EQ(program.Resolve({"--example-config"}), "");
  std::string example = program.output;
  EXPECT_THAT(example, HasSubstr("\n# Largest message.\n# SIZE\n#max-message = \"50M\"\n"));
  Program untouched;
  EXPECT_EQ(untouched.ResolveFile(example), "");
  // With every comment sign before a value taken away it is what stands anyway.
  for (const char* name : {"data-dir", "create", "threads", "records", "max-message", "default-bytes", "idle",
                           "store", "log-format"}) {
    const size_t at = example.find(std::string("\n#") + name + " = ");
    ASSERT_NE(at, std::string::npos) << name;
    example.erase(at + 1, 1);
  }
  Program filled;
  EXPECT_EQ(filled.ResolveFile(example), "");
  EXPECT_EQ(filled.data_dir, untouched.data_dir);
  EXPECT_EQ(filled.max_message, untouched.max_message);
  EXPECT_EQ(filled.default_bytes, untouched.default_bytes);
  EXPECT_EQ(filled.idle, untouched.idle);
  EXPECT_EQ(filled.stores, untouched.stores);
}

TEST(Options, TheConfigurationIsCheckedAsAWhole) {
  const auto none = [](const std::string&) -> std::optional<std::string> { return std::nullopt; };
  const auto bad = [] { return absl::InvalidArgumentError("--threads 3: must be even"); };
  Program program;
  EXPECT_EQ(program.table.Resolve({"--check-config"}, none, &program.output, bad).message(),
            "--threads 3: must be even");
  EXPECT_EQ(program.output, "");
  EXPECT_TRUE(program.table.Resolve({"--check-config"}, none, &program.output, absl::OkStatus).ok());
  EXPECT_EQ(program.output, "restante-test: the configuration will do\n");
  EXPECT_FALSE(program.table.Resolve({"--print-config"}, none, &program.output, bad).ok());
}

TEST(Options, TheExitStatusIsTwoAfterAnErrorAndZeroAfterHelpAndVersion) {
  const char* const bad[] = {"p", "--nonsense"};
  testing::internal::CaptureStderr();
  EXPECT_EQ(Program().table.Parse(2, bad), 2);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "restante-test: --nonsense: unknown option (--help lists the options)\n");
  const char* const version[] = {"p", "--version"};
  testing::internal::CaptureStdout();
  EXPECT_EQ(Program().table.Parse(2, version), 0);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), testing::MatchesRegex("restante-test [0-9.]+\n"));
  const char* const help[] = {"p", "-h"};
  testing::internal::CaptureStdout();
  EXPECT_EQ(Program().table.Parse(2, help), 0);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), StartsWith("Usage: restante-test"));
  const char* const fine[] = {"p", "--threads", "3"};
  EXPECT_EQ(Program().table.Parse(3, fine), std::nullopt);
}

}  // namespace
}  // namespace restante
