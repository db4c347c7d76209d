// The command line, from its words to its exit status, and the Maildirs it writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/context.h"
#include "client/cli/local_files.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "client/cli/values.h"
#include "server/access/token.h"
#include "tests/client/fake_mailboxes.h"
#include "tests/client/fake_store.h"

namespace restante::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class CommandLineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "restante-cli-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory = pattern;
    setenv("XDG_CONFIG_HOME", directory.c_str(), 1);
  }
  void TearDown() override { fs::remove_all(directory); }

  int Run(std::vector<std::string> words) { return RunAt(store.target, std::move(words)); }
  int RunAt(const std::string& target, std::vector<std::string> words) {
    words.insert(words.begin(), {"restante", "--store", target});
    std::vector<const char*> argv;
    for (const std::string& word : words) argv.push_back(word.c_str());
    std::ostringstream o, e;
    int status = RunCommandLine(static_cast<int>(argv.size()), argv.data(), o, e);
    out = o.str();
    err = e.str();
    return status;
  }
  std::string WriteFile(const std::string& text) {
    std::string path = directory + "/file";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  std::vector<std::string> Files(const std::string& path) {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path().string());
    return files;
  }

  FakeMailboxes store;
  std::string directory, out, err;
};

TEST_F(CommandLineTest, WrongUsageIs2AndNamesWhatIsWrong) {
  struct {
    std::vector<std::string> words;
    const char* text;
  } cases[] = {
      {{}, "command"},
      {{"mailbox"}, "command"},
      {{"nonsense"}, "nonsense"},
      {{"mailbox", "create"}, "ADDRESS"},
      {{"mailbox", "create", "a@b.c", "--bytes", "10X"}, "10X"},
      {{"mailbox", "create", "a@b.c", "--messages", "1K"}, "1K"},
      {{"mailbox", "create", "a@b.c", "--state", "asleep"}, "asleep"},
      {{"mailbox", "set", "a@b.c"}, "--bytes"},
      {{"mailbox", "create", "a@b.c", "--colour", "red"}, "colour"},
      {{"domain", "create", "b.c", "--over-quota", "maybe"}, "maybe"},
      {{"quota", "show"}, "--all"},
      {{"quota", "show", "a@b.c", "--all"}, "--all"},
      {{"--output", "xml", "status"}, "xml"},
      {{"archive", "--all", "--older-than", "5", "--to", "d"}, "5"},
      {{"archive", "--all", "--to", "d"}, "--older-than"},
      {{"message", "cat", "a@b.c"}, "UID"},
      {{"message", "cat", "a@b.c", "-1"}, "-1"},
      {{"import", "maildir", "/nonexistent/maildir", "--to", "a@b.c"}, "/nonexistent/maildir"},
      {{"import", "mbox", "/nonexistent/mbox", "--to", "a@b.c"}, "/nonexistent/mbox"},
      {{"import", "eml", "--to", "a@b.c"}, "FILE"},
      {{"deliver", "--from", "a@b.c", "--to", "d@e.f", "/nonexistent/file"}, "/nonexistent/file"},
      {{"store", "backup"}, "DIR"},
      {{"store", "backup", "relative"}, "absolute"},
      {{"store", "backup", "/backup", "--rate", "10X"}, "10X"},
      {{"store", "restore", "/backup"}, "DATA-DIR"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.words.empty() ? "" : c.words.back());
    EXPECT_EQ(Run(c.words), kUsage);
    EXPECT_THAT(err, HasSubstr(c.text));
  }
}

TEST_F(CommandLineTest, ANewTokenIsPrintedWithItsHashOrKeptInAFileOfItsOwn) {
  ASSERT_EQ(RunAt("127.0.0.1:1", {"--output", "json", "token", "new"}), kDone) << err;
  const size_t at = out.find("restante_");
  ASSERT_NE(at, std::string::npos);
  const std::string token = out.substr(at, out.find('"', at) - at);
  EXPECT_THAT(out, HasSubstr(access::TokenHash::Of(token).ToString()));
  const std::string file = directory + "/token";
  ASSERT_EQ(RunAt("127.0.0.1:1", {"token", "new", "--to", file}), kDone) << err;
  std::string kept;
  std::ifstream(file) >> kept;
  EXPECT_THAT(out, HasSubstr(access::TokenHash::Of(kept).ToString()));
  EXPECT_THAT(out, testing::Not(HasSubstr(kept)));
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(RunAt("127.0.0.1:1", {"token", "new", "--to", file}), kUsage) << "and overwrites none";
  EXPECT_THAT(err, HasSubstr("token`: File exists"));
}

TEST_F(CommandLineTest, HelpIs0WithExamples) {
  for (const char* command :
       {"domain", "mailbox", "alias", "message", "quota", "deliver", "archive", "store"}) {
    EXPECT_EQ(Run({command, "--help"}), kDone);
    EXPECT_THAT(out, HasSubstr("Example")) << command;
  }
}

TEST_F(CommandLineTest, UnreachableStoreIs3AndNamesTheAddress) {
  for (std::vector<std::string> words : std::vector<std::vector<std::string>>{
           {"status"},
           {"mailbox", "show", "a@b.c"},
           {"store", "verify"},
           {"deliver", "--from", "a@b.c", "--to", "d@e.f", WriteFile("x\n")}}) {
    EXPECT_EQ(RunAt("127.0.0.1:1", words), kUnreachable) << words[0];
    EXPECT_THAT(err, HasSubstr("127.0.0.1:1"));
    EXPECT_THAT(err, HasSubstr("--store"));
  }
}

TEST_F(CommandLineTest, RefusalIs1EvenIfItIsCalledUnavailable) {
  EXPECT_EQ(Run({"mailbox", "show", "nobody@example.org"}), kRefused);
  EXPECT_THAT(err, HasSubstr("nobody@example.org: no such mailbox"));
  store.unavailable = true;
  EXPECT_EQ(Run({"mailbox", "create", "a@example.org"}), kRefused);
  EXPECT_THAT(err, HasSubstr("read-only"));
}

TEST_F(CommandLineTest, LimitsReachTheStoreAsTheyWereSaid) {
  EXPECT_EQ(Run({"mailbox", "create", "A b@example.org", "--bytes", "10M", "--messages", "unlimited"}),
            kDone);
  EXPECT_EQ(store.created.mailbox().name(), "mailboxes/A%20b@example.org");
  EXPECT_EQ(store.created.mailbox().max_bytes().value(), 10u << 20);
  EXPECT_EQ(store.created.mailbox().max_messages().kind(), v1::Limit::UNLIMITED);
  EXPECT_EQ(store.created.request_id().size(), 16u);
  EXPECT_EQ(Run({"mailbox", "set", "a@example.org", "--bytes", "inherit", "--state", "hold"}), kDone);
  EXPECT_THAT(store.updated.update_mask().paths(), ::testing::ElementsAre("max_bytes", "state"));
  EXPECT_EQ(store.updated.mailbox().max_bytes().kind(), v1::Limit::INHERIT);
  EXPECT_EQ(store.updated.mailbox().state(), v1::Mailbox::HOLD);
}

TEST_F(CommandLineTest, ListsTurnAllPagesAndJsonIsOneObjectALine) {
  for (int i = 0; i < 5; ++i) store.Add(absl::StrCat("u", i, "@example.org"));
  store.boxes["mailboxes/u3@example.org"].mailbox.mutable_usage()->set_bytes(1'572'864);
  EXPECT_EQ(Run({"quota", "show", "--all"}), kDone);
  for (int i = 0; i < 5; ++i) EXPECT_THAT(out, HasSubstr(absl::StrCat("u", i, "@example.org")));
  EXPECT_THAT(out, HasSubstr("1.5M"));
  EXPECT_EQ(Run({"quota", "show", "--all", "--output", "json"}), kDone);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 5);
  EXPECT_THAT(out, HasSubstr("{\"mailbox\":\"u3@example.org\",\"used\":1572864,"));
}

TEST_F(CommandLineTest, DeletingAFullMailboxSaysHowManyMessagesAndWithMail) {
  auto& box = store.Add("alice@example.org");
  store.AddMessage(box, "one\r\n");
  store.AddMessage(box, "two\r\n");
  EXPECT_EQ(Run({"mailbox", "delete", "alice@example.org"}), kRefused);
  EXPECT_THAT(err, HasSubstr("2 messages"));
  EXPECT_THAT(err, HasSubstr("--with-mail"));
  EXPECT_EQ(Run({"mailbox", "delete", "alice@example.org", "--with-mail"}), kDone);
}

TEST_F(CommandLineTest, WhatNotificationsWereAskedForIsShownWhereItWas) {
  auto& box = store.Add("alice@example.org");
  store.AddMessage(box, "one\r\n");
  store.AddMessage(box, "two\r\n");
  v1::Message& message = box.messages[2].first;
  message.set_ret(v1::RET_HDRS);
  message.set_envid("QQ+2B1");
  v1::DsnRecipient& first = *message.add_dsn_recipients();
  first.set_address("alice+x@example.org");
  first.add_notify(v1::NOTIFY_DELAY);
  first.add_notify(v1::NOTIFY_SUCCESS);
  first.set_orcpt("rfc822;a+2Bx@example.com");
  message.add_dsn_recipients()->set_address("info@example.org");
  message.mutable_dsn_recipients(1)->add_notify(v1::NOTIFY_NEVER);

  EXPECT_EQ(Run({"message", "show", "alice@example.org", "2"}), kDone) << err;
  EXPECT_THAT(out, HasSubstr("ret        HDRS\n"
                             "envid      QQ+2B1\n"
                             "dsn        <alice+x@example.org> NOTIFY=DELAY,SUCCESS "
                             "ORCPT=rfc822;a+2Bx@example.com\n"
                             "dsn        <info@example.org> NOTIFY=NEVER\n"));
  const std::string json =
      "\"ret\":\"HDRS\",\"envid\":\"QQ+2B1\",\"dsn_recipients\":[{\"address\":\"alice+x@example.org\","
      "\"notify\":\"DELAY,SUCCESS\",\"orcpt\":\"rfc822;a+2Bx@example.com\"},{\"address\":\"info@example."
      "org\","
      "\"notify\":\"NEVER\",\"orcpt\":\"\"}]}\n";
  EXPECT_EQ(Run({"message", "show", "alice@example.org", "2", "--output", "json"}), kDone);
  EXPECT_THAT(out, testing::EndsWith(json));
  EXPECT_EQ(Run({"message", "list", "alice@example.org", "--output", "json"}), kDone);
  EXPECT_THAT(out, testing::EndsWith(json));
  EXPECT_EQ(Run({"message", "show", "alice@example.org", "1"}), kDone);
  EXPECT_THAT(out, testing::Not(HasSubstr("dsn")));
  EXPECT_THAT(out, testing::Not(HasSubstr("envid")));
  EXPECT_EQ(Run({"message", "show", "alice@example.org", "1", "--output", "json"}), kDone);
  EXPECT_THAT(out, testing::EndsWith("\"ret\":\"\",\"envid\":\"\",\"dsn_recipients\":[]}\n"));
}

TEST_F(CommandLineTest, CatWritesEveryOctetAndDeleteCountsWhatIsMissing) {
  auto& box = store.Add("alice@example.org");
  std::string text("Subject: x\r\n\r\n\0\xff\rbare\n", 23);
  store.AddMessage(box, text);
  EXPECT_EQ(Run({"message", "cat", "alice@example.org", "1"}), kDone);
  EXPECT_EQ(out, text);
  EXPECT_EQ(Run({"message", "delete", "alice@example.org", "1", "99"}), kRefused);
  EXPECT_THAT(err, HasSubstr("1 of 2"));
}

TEST_F(CommandLineTest, VerifyWithProblemsIs1AndNamesThem) {
  EXPECT_EQ(Run({"store", "verify"}), kDone);
  store.problem = "mailboxes/a@b.c: used 5, messages sum to 4";
  EXPECT_EQ(Run({"store", "verify"}), kRefused);
  EXPECT_THAT(err, HasSubstr(store.problem));
  EXPECT_THAT(err, HasSubstr("1 problems found"));
}

TEST_F(CommandLineTest, VerifyWithRepairIs0OnceEverythingIsSetRight) {
  store.problem = "mailboxes/a@b.c: used 5, messages sum to 4; set right";
  EXPECT_EQ(Run({"store", "verify", "--repair", "--output", "json"}), kDone);
  EXPECT_THAT(err, HasSubstr(store.problem));
  EXPECT_THAT(out, HasSubstr("\"problems\":1,\"repaired_problems\":1"));
  store.repairs = false;
  EXPECT_EQ(Run({"store", "verify", "--repair"}), kRefused);
  EXPECT_THAT(err, HasSubstr("1 of 1 problems are left"));
}

v1::Damage DamageOfTwo() {
  v1::Damage damage;
  damage.set_file("/data/segments/1.log");
  damage.set_offset(64);
  damage.set_problem("body 7: block 0 of 1 has a wrong checksum");
  damage.add_messages("mailboxes/a%20b@example.org/folders/INBOX/messages/3");
  damage.add_messages("mailboxes/c@example.org/folders/INBOX/messages/4");
  return damage;
}

TEST_F(CommandLineTest, ScrubThatFindsNothingIs0AndDamageIs1WithTheMessages) {
  EXPECT_EQ(Run({"store", "scrub"}), kDone);
  EXPECT_EQ(store.scrub_rate, 64u << 20);
  EXPECT_THAT(out, HasSubstr("2K"));
  EXPECT_EQ(err, "");
  store.damages.push_back(DamageOfTwo());
  EXPECT_EQ(Run({"store", "scrub", "--rate", "5M"}), kRefused);
  EXPECT_EQ(store.scrub_rate, 5u << 20);
  const std::string place =
      "cannot be read: /data/segments/1.log: damaged at 64: body 7: block 0 of 1 has a wrong checksum\n";
  EXPECT_THAT(err, HasSubstr("restante: a b@example.org UID 3 " + place));
  EXPECT_THAT(err, HasSubstr("restante: c@example.org UID 4 " + place));
  EXPECT_EQ(Run({"store", "scrub", "--output", "json"}), kRefused);
  EXPECT_EQ(out,
            "{\"file\":\"/data/segments/1.log\",\"offset\":64,\"problem\":\"body 7: block 0 of 1 has a wrong "
            "checksum\",\"messages\":[\"mailboxes/a%20b@example.org/folders/INBOX/messages/3\",\"mailboxes/"
            "c@example.org/folders/INBOX/messages/4\"]}\n"
            "{\"checked_bytes\":2048,\"damages\":1,\"damaged_messages\":2}\n");
  EXPECT_EQ(Run({"store", "scrub", "--rate", "fast"}), kUsage);
  EXPECT_THAT(err, HasSubstr("fast"));
}

TEST_F(CommandLineTest, LongWorkThatEndsBeforeItsEndIsNotDone) {
  store.ends_early = true;
  EXPECT_EQ(Run({"store", "scrub"}), kRefused);
  EXPECT_THAT(err, HasSubstr("before its end"));
}

TEST_F(CommandLineTest, StatusTellsWhatTheLastScrubFound) {
  EXPECT_EQ(Run({"status"}), kDone);
  EXPECT_THAT(out, Not(HasSubstr("scrub")));
  v1::ScrubResult& last = *store.status.mutable_last_scrub();
  last.mutable_end_time()->set_seconds(1'700'000'000);
  last.set_checked_bytes(1 << 20);
  last.set_damage_count(1);
  *last.add_first_damages() = DamageOfTwo();
  EXPECT_EQ(Run({"status"}), kDone);
  EXPECT_THAT(out, HasSubstr("2023-11-1"));
  EXPECT_THAT(out, HasSubstr("c@example.org UID 4 cannot be read"));
  EXPECT_EQ(Run({"status", "--output", "json"}), kDone);
  EXPECT_THAT(out, HasSubstr("\"last_scrub\":\"2023-11-14T22:13:20Z\",\"last_scrub_bytes\":1048576,"
                             "\"last_scrub_damages\":1"));
  EXPECT_THAT(out, HasSubstr("\"last_scrub_first_damages\":[{\"file\""));
}

TEST_F(CommandLineTest, BackupOfADamagedStoreIs1AndNamesTheFiles) {
  EXPECT_EQ(Run({"--output", "json", "store", "backup", "/backup", "--rate", "10M"}), kDone);
  EXPECT_EQ(store.backup.directory(), "/backup");
  EXPECT_EQ(store.backup.max_bytes_per_second(), 10u << 20);
  EXPECT_FALSE(store.backup.verify_kept());
  EXPECT_THAT(out, HasSubstr("\"files\":3"));
  EXPECT_THAT(out, HasSubstr("\"damaged_files\":0"));
  store.problem = "body 7 is damaged";
  EXPECT_EQ(Run({"--output", "json", "store", "backup", "/backup", "--verify-kept"}), kRefused);
  EXPECT_TRUE(store.backup.verify_kept());
  EXPECT_THAT(out, HasSubstr("\"damaged_files\":1")) << "it is made all the same";
  EXPECT_THAT(err, HasSubstr("/data/file: damaged at 42: body 7 is damaged"));
}

TEST_F(CommandLineTest, DeliverTakesFilesWithLfAndPrintsEachRecipient) {
  FakeStore mta;
  struct {
    const char *text, *stored;
  } cases[] = {{"Subject: x\n\ny\n", "Subject: x\r\n\r\ny\r\n"}, {"a\r\nbare\nb\r\n", "a\r\nbare\nb\r\n"}};
  for (const auto& c : cases) {
    EXPECT_EQ(RunAt(mta.target(), {"deliver", "--from", "<bob@example.com>", "--to", "alice@example.org",
                                   "carol@example.org", WriteFile(c.text)}),
              kDone)
        << err;
    EXPECT_THAT(out, HasSubstr("alice@example.org"));
    EXPECT_THAT(out, HasSubstr("carol@example.org"));
    bool found = false;
    for (const auto& [id, stored] : mta.stored()) {
      found = found || (stored.text == c.stored && stored.sender == "bob@example.com" &&
                        stored.recipients.size() == 2);
    }
    EXPECT_TRUE(found) << c.text;
  }
  EXPECT_EQ(RunAt(mta.target(), {"deliver", "--from", "refuse@x.y", "--to", "a@b.c", WriteFile("x\n")}),
            kRefused);
  EXPECT_THAT(err, HasSubstr("disk full"));
}

TEST_F(CommandLineTest, DeliverSettlesAnOutcomeThatWasLost) {
  FakeStore mta;
  EXPECT_EQ(RunAt(mta.target(), {"deliver", "--from", "lost-after@x.y", "--to", "a@b.c", WriteFile("x\n")}),
            kDone)
      << err;
  EXPECT_EQ(mta.stored().size(), 1u);
  EXPECT_NE(RunAt(mta.target(), {"deliver", "--from", "lost-before@x.y", "--to", "a@b.c", WriteFile("x\n")}),
            kDone);
  EXPECT_THAT(err, HasSubstr("nothing was stored"));
  EXPECT_EQ(mta.tombstones().size(), 1u);
}

TEST_F(CommandLineTest, ExportWritesAMaildirOnce) {
  auto& box = store.Add("alice@example.org");
  for (const char* text : {"Subject: 1\r\n\r\none\r\n", "two\nbare\r\n", "three\r\n"})
    store.AddMessage(box, text);
  std::string maildir = directory + "/deep/maildir";
  EXPECT_EQ(Run({"export", "maildir", maildir, "--from", "alice@example.org"}), kDone) << err;
  EXPECT_EQ(Files(maildir + "/new").size(), 3u);
  EXPECT_EQ(Files(maildir + "/tmp").size(), 0u);
  EXPECT_EQ(box.messages.size(), 3u);
  // A reader has moved one; it is known again all the same.
  std::string moved = Files(maildir + "/new")[0];
  fs::rename(moved, maildir + "/cur/" + fs::path(moved).filename().string() + ":2,S");
  EXPECT_EQ(Run({"export", "maildir", maildir, "--from", "alice@example.org"}), kDone);
  EXPECT_EQ(Files(maildir + "/new").size(), 2u);
  bool found = false;
  for (const std::string& file : Files(maildir + "/new")) {
    found = found || *ReadWholeFile(file) ==
                         "Return-Path: <bob@example.com>\nDelivered-To: alice+x@example.org\nthree\n";
  }
  EXPECT_TRUE(found || *ReadWholeFile(Files(maildir + "/cur")[0]) ==
                           "Return-Path: <bob@example.com>\nDelivered-To: alice+x@example.org\nthree\n");
}

TEST_F(CommandLineTest, ExportIntoADirectoryThatVanishedIsNotDone) {
  auto& box = store.Add("alice@example.org");
  store.AddMessage(box, "one\r\n");
  fs::create_directory(directory + "/m");
  fs::create_symlink("/nonexistent/tmp", directory + "/m/tmp");
  EXPECT_EQ(Run({"export", "maildir", directory + "/m", "--from", "alice@example.org"}), kRefused);
  EXPECT_THAT(err, HasSubstr("/m/tmp/"));
}

TEST_F(CommandLineTest, ArchiveMovesOldMailOutAndMayBeInterrupted) {
  auto& box = store.Add("alice@example.org");
  store.Add("empty@example.org");
  for (int i = 0; i < 5; ++i) store.AddMessage(box, absl::StrCat("message ", i, "\r\n"));
  box.messages[5].first.mutable_arrival_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
  std::vector<std::string> words = {"archive", "--all", "--older-than", "1d", "--to", directory};
  // The store goes away between writing and deleting.
  store.unavailable = true;
  EXPECT_EQ(Run(words), kUnreachable);
  EXPECT_EQ(box.messages.size(), 5u);
  EXPECT_EQ(Files(directory + "/alice@example.org/new").size(), 2u);
  store.unavailable = false;
  EXPECT_EQ(Run(words), kDone) << err;
  EXPECT_EQ(box.messages.size(), 1u);
  EXPECT_EQ(Files(directory + "/alice@example.org/new").size(), 4u);
  EXPECT_FALSE(fs::exists(directory + "/empty@example.org"));
  EXPECT_THAT(out, HasSubstr("4 messages"));
}

TEST_F(CommandLineTest, ArchiveKeepsAMessageWhoseFileIsNotTheSame) {
  auto& box = store.Add("alice@example.org");
  store.AddMessage(box, "first\r\n");
  store.AddMessage(box, "other\r\n");
  std::vector<std::string> words = {"archive", "alice@example.org", "--older-than", "0s", "--to", directory};
  store.unavailable = true;
  EXPECT_EQ(Run(words), kUnreachable);
  std::string spoilt = Files(directory + "/alice@example.org/new")[0];
  std::ofstream(spoilt, std::ios::app) << "x";
  store.unavailable = false;
  EXPECT_EQ(Run(words), kRefused);
  EXPECT_THAT(err, HasSubstr("stays in the store"));
  EXPECT_EQ(box.messages.size(), 1u);
}

TEST_F(CommandLineTest, ArchiveNeverDeletesWhatItCouldNotRead) {
  auto& box = store.Add("alice@example.org");
  for (int i = 0; i < 5; ++i) store.AddMessage(box, absl::StrCat("message ", i, "\r\n"));
  store.damaged = box.messages[2].first.name();
  std::vector<std::string> words = {"archive", "alice@example.org", "--older-than", "0s", "--to", directory};
  EXPECT_EQ(Run(words), kRefused);
  EXPECT_THAT(err, HasSubstr("block 0 has a wrong checksum; it stays in the store"));
  ASSERT_EQ(box.messages.size(), 1u);
  EXPECT_EQ(box.messages.begin()->first, 2u);
  EXPECT_EQ(Files(directory + "/alice@example.org/new").size(), 4u);
}

TEST_F(CommandLineTest, AMailboxThatCannotBeListedDoesNotStopTheArchiveOfOthers) {
  for (const char* address : {"alice@example.org", "bob@example.org", "carol@example.org"}) {
    store.AddMessage(store.Add(address), "text\r\n");
  }
  store.damaged = "mailboxes/bob@example.org";
  EXPECT_EQ(Run({"archive", "--all", "--older-than", "0s", "--to", directory}), kRefused);
  EXPECT_THAT(err, HasSubstr("bob@example.org: index: block at 0 has a wrong checksum"));
  EXPECT_EQ(store.boxes["mailboxes/alice@example.org"].messages.size(), 0u);
  EXPECT_EQ(store.boxes["mailboxes/bob@example.org"].messages.size(), 1u);
  EXPECT_EQ(store.boxes["mailboxes/carol@example.org"].messages.size(), 0u);
}

TEST_F(CommandLineTest, ExportGoesOnBehindADamagedMessageAndIs1) {
  auto& box = store.Add("alice@example.org");
  for (int i = 0; i < 3; ++i) store.AddMessage(box, absl::StrCat("message ", i, "\r\n"));
  store.damaged = box.messages[2].first.name();
  EXPECT_EQ(Run({"export", "maildir", directory + "/m", "--from", "alice@example.org"}), kRefused);
  EXPECT_THAT(err, HasSubstr("messages/2: block 0 has a wrong checksum"));
  EXPECT_THAT(err, HasSubstr("1 messages cannot be read"));
  EXPECT_EQ(Files(directory + "/m/new").size(), 2u);
}

TEST(Names, EncodeWhatAddressesMayHold) {
  EXPECT_EQ(MailboxName("o'neil+x=1@example.org"), "mailboxes/o%27neil+x=1@example.org");
  EXPECT_EQ(MailboxName("mailboxes/a@b.c"), "mailboxes/a@b.c");
  EXPECT_EQ(IdOf("mailboxes/a%2Fb%20c@d.e"), "a/b c@d.e");
  EXPECT_EQ(EncodedIdOf(MailboxName("a/../b@c.d")), "a%2F..%2Fb@c.d");
  EXPECT_EQ(MessageName("mailboxes/a@b.c", "Lists/b\xc3\xbcro", 42),
            "mailboxes/a@b.c/folders/Lists%2Fb%C3%BCro/messages/42");
  EXPECT_EQ(FolderOf("mailboxes/a@b.c/folders/Lists%2Fb%C3%BCro/messages/42"), "Lists/b\xc3\xbcro");
}

TEST(Output, EscapesForTerminalsAndForJson) {
  EXPECT_EQ(JsonString("a\"\\\n\x1b\xff\xc3\xa9"), "\"a\\\"\\\\\\u000a\\u001b\\ufffd\xc3\xa9\"");
  EXPECT_EQ(Printable("a\x1b[2J\xc2\x9b\xff\xc3\xa9"), "a\\x1b[2J\\xc2\\x9b\\xff\xc3\xa9");
}

TEST(Values, NameShortagesWithTheirNumbers) {
  v1::Shortage shortage;
  EXPECT_EQ(ShortageText(shortage), "");
  shortage.set_scope(v1::Shortage::MAILBOX);
  shortage.set_limit(307200);
  shortage.set_used(306176);
  shortage.set_needed(20480);
  EXPECT_EQ(ShortageText(shortage), "mailbox: needs 20480 bytes, 1024 left of 307200");
  EXPECT_EQ(OutcomeText(v1::OUTCOME_MAILBOX_FULL), "mailbox full");
}

}  // namespace
}  // namespace restante::cli
