// Maildir++ trees: names, flags and files, as we and as others write them.
#include "client/cli/maildir.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "absl/strings/str_cat.h"
#include "client/cli/export_state.h"
#include "client/cli/folder_names.h"
#include "client/cli/local_files.h"
#include "client/cli/maildir_scan.h"
#include "client/cli/message_file.h"

namespace restante::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(MessageFile, ComesBackExactlyWhateverTheLineEnds) {
  const char* texts[] = {"",           "a",         "a\r\nb\r\n", "a\nb\n",   "a\rb\r",
                         "\r\n",       "\n",        "\r",         "a\r\r\nb", "a\n\r",
                         "x\r\n.\r\n", "LF\n.\nLF", "\n\n",       "\r\n\r\n", "a\r\nb\nc"};
  for (const char* text : texts) {
    const std::string file = ToMessageFile("s@x.y", "r@x.y", text);
    const FileMessage back = ParseMessageFile(file);
    EXPECT_TRUE(back.has_envelope);
    EXPECT_EQ(back.text, text);
    EXPECT_EQ(back.sender, "s@x.y");
    EXPECT_EQ(back.recipient, "r@x.y");
    EXPECT_EQ(HasOnlyCrlf(text), file.find('\r') == std::string::npos) << text;
  }
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 5000; ++round) {
    std::string text(random() % 12, ' ');
    for (char& c : text) c = "\r\nab"[random() % 4];
    ASSERT_EQ(ParseMessageFile(ToMessageFile("", "r", text)).text, text);
    ASSERT_EQ(ParseMessageFile(ToMessageFile("a", "b", ToMessageFile("c", "d", text))).text,
              ToMessageFile("c", "d", text))
        << "a message that looks like a file of ours";
  }
}

TEST(MessageFile, AddressesCannotForgeHeaderLines) {
  EXPECT_EQ(ToMessageFile("a\nX: y@z", "b\rc", "t\r\n"), "Return-Path: <a?X: y@z>\nDelivered-To: b?c\nt\n");
}

TEST(MessageFile, FilesOfOthersAreTakenByTheEndOfTheirFirstLine) {
  const struct {
    const char *file, *text, *sender, *recipient;
  } cases[] = {
      {"a\nb\n", "a\r\nb\r\n", "", ""},
      {"a\nb\r\nc\rd\n", "a\r\nb\r\nc\rd\r\n", "", ""},
      {"a\r\nb\n", "a\r\nb\n", "", ""},
      {"a\rb", "a\rb", "", ""},
      {"", "", "", ""},
      // Dovecot, Postfix: the lines stay, and say who sent it.
      {"Return-Path: <b@c>\nDelivered-To: <a@b>\nx\n", "Return-Path: <b@c>\r\nDelivered-To: <a@b>\r\nx\r\n",
       "b@c", ""},
      {"Return-Path: <b@c>\nX-Original-To: a\nx\n", "Return-Path: <b@c>\r\nX-Original-To: a\r\nx\r\n", "b@c",
       ""},
      {"Return-path: <b@c>\nDelivered-To: a\n", "Return-path: <b@c>\r\nDelivered-To: a\r\n", "b@c", ""},
      {"Return-Path: <>\nDelivered-To: a@b\n\n", "\r\n", "", "a@b"},
      {"Return-Path: <b@c>\r\nDelivered-To: a@b\nx\n", "Return-Path: <b@c>\r\nDelivered-To: a@b\nx\n", "b@c",
       ""},
      {"Return-Path: b@c\nx\n", "Return-Path: b@c\r\nx\r\n", "", ""},
      {"Return-Path: <\xff>\nDelivered-To: a\n", "Return-Path: <\xff>\r\nDelivered-To: a\r\n", "", ""},
  };
  for (const auto& c : cases) {
    const FileMessage message = ParseMessageFile(c.file);
    EXPECT_EQ(message.text, c.text);
    EXPECT_EQ(message.sender, c.sender) << c.file;
    EXPECT_EQ(message.recipient, c.recipient) << c.file;
  }
}

TEST(TextToCrlf, ConvertsOnlyATextWithoutCrlf) {
  EXPECT_EQ(TextToCrlf("a\nb\n"), "a\r\nb\r\n");
  EXPECT_EQ(TextToCrlf("a\r\nb\n"), "a\r\nb\n");
  EXPECT_EQ(TextToCrlf("a"), "a");
}

TEST(FolderNames, AreModifiedUtf7AndComeBack) {
  const struct {
    const char *name, *directory;
  } cases[] = {{"Sent", ".Sent"},
               {"Lists/IETF", ".Lists.IETF"},
               {"Entw\xc3\xbcrfe", ".Entw&APw-rfe"},
               {"R&D", ".R&-D"},
               {"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
                ".~peter.mail.&U,BTFw-.&ZeVnLIqe-"},
               {"\xf0\x9f\x93\xa7", ".&2D3c5w-"},
               {"v1.2", ".v1&AC4-2"},
               {"..", ".&AC4ALg-"}};
  for (const auto& c : cases) {
    EXPECT_EQ(DirectoryOfFolder(c.name), c.directory);
    EXPECT_EQ(*FolderOfDirectory(c.directory), c.name);
  }
  // What others write otherwise.
  EXPECT_EQ(*FolderOfDirectory(".R&D"), "R&D");
  EXPECT_EQ(*FolderOfDirectory(".Entw\xc3\xbcrfe"), "Entw\xc3\xbcrfe");
  EXPECT_EQ(*FolderOfDirectory(".inbox"), "INBOX");
  EXPECT_EQ(*FolderOfDirectory(".&2D0-"), "&2D0-") << "half a pair";
  for (const char* wrong : {".", "..", ".a..b", ".a.", ".\xff"})
    EXPECT_FALSE(FolderOfDirectory(wrong).ok()) << wrong;
}

class MaildirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "restante-maildir-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    path = pattern;
  }
  void TearDown() override { fs::remove_all(path); }

  void Put(const std::string& name, const std::string& text, int64_t seconds = 1'700'000'000) {
    fs::create_directories((fs::path(path) / name).parent_path());
    std::ofstream(fs::path(path) / name, std::ios::binary) << text;
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    utimensat(AT_FDCWD, absl::StrCat(path, "/", name).c_str(), times, 0);
  }
  MaildirTree Scan() {
    absl::StatusOr<MaildirTree> tree = ScanMaildir(path, now);
    EXPECT_TRUE(tree.ok()) << tree.status();
    return tree.ok() ? *std::move(tree) : MaildirTree();
  }

  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  std::string path;
};

TEST_F(MaildirTest, FoldersFlagsAndKeywordsAreFound) {
  Put("cur/1.a:2,FSab", "x", 1'700'000'003);
  Put("new/2.b", "x", 1'700'000'002);
  Put("cur/3.c,S=1:2,DPRT", "x", 1'700'000'001);
  Put("dovecot-keywords", "0 Junk\n1 $Label1\nnonsense\n77 far\n");
  Put(".Lists.IETF/cur/4.d:2,Sa", "x");
  Put(".Lists.IETF/courierimapkeywords/:list", "Work\nHome\n\n4.d:0 1\n5.e:7\n");
  Put("cur/.hidden", "x");
  Put("tmp/6.f", "x");
  const MaildirTree tree = Scan();
  EXPECT_THAT(tree.problems, IsEmpty());
  ASSERT_EQ(tree.files.size(), 4u);  // In the order of arrival.
  EXPECT_EQ(tree.files[0].folder, "Lists/IETF");
  EXPECT_THAT(tree.files[0].keywords, ElementsAre("Work", "Home"));
  EXPECT_EQ(tree.files[1].base, "3.c,S=1");
  EXPECT_THAT(tree.files[1].flags,
              ElementsAre(v1::FLAG_DRAFT, v1::FLAG_PASSED, v1::FLAG_ANSWERED, v1::FLAG_DELETED));
  EXPECT_THAT(tree.files[2].flags, IsEmpty());
  EXPECT_THAT(tree.files[3].flags, ElementsAre(v1::FLAG_FLAGGED, v1::FLAG_SEEN));
  EXPECT_THAT(tree.files[3].keywords, ElementsAre("Junk", "$Label1"));
  EXPECT_EQ(tree.files[3].folder, "INBOX");
}

TEST_F(MaildirTest, ArrivalIsTheTimeOfTheFileOrOfItsNameOrNow) {
  Put("cur/1600000000.a:2,", "x", 0);
  Put("cur/1600000001.b:2,", "x", 1'900'000'000);
  Put("cur/1600000002.c:2,", "x", 1'500'000'000);
  Put("cur/name:2,", "x", 0);
  const MaildirTree tree = Scan();
  ASSERT_EQ(tree.files.size(), 4u);
  EXPECT_EQ(absl::ToUnixSeconds(tree.files[0].arrival), 1'500'000'000);
  EXPECT_EQ(absl::ToUnixSeconds(tree.files[1].arrival), 1'600'000'000);
  EXPECT_EQ(absl::ToUnixSeconds(tree.files[2].arrival), 1'600'000'001);
  EXPECT_EQ(tree.files[3].arrival, now);
}

TEST_F(MaildirTest, WhatIsNoFileIsNamedAndNothingIsFollowed) {
  Put("cur/1.a:2,", "x");
  fs::create_symlink("/etc/passwd", path + "/cur/2.b:2,");
  fs::create_directory_symlink("/tmp", path + "/.Else");
  Put(".a..b/cur/3.c", "x");
  fs::create_directory(path + "/new");
  ASSERT_EQ(mkfifo((path + "/new/4.d").c_str(), 0600), 0);
  const MaildirTree tree = Scan();
  EXPECT_EQ(tree.files.size(), 1u);
  EXPECT_THAT(tree.problems, testing::UnorderedElementsAre(HasSubstr("/cur/2.b:2,: is no regular file"),
                                                           HasSubstr("/.Else: is no directory"),
                                                           HasSubstr("/.a..b: is no folder"),
                                                           HasSubstr("/new/4.d: is no regular file")));
  EXPECT_FALSE(ReadMessageFile(path + "/cur/2.b:2,", 1000).ok());
  EXPECT_FALSE(ReadMessageFile(path + "/new/4.d", 1000).ok());
  EXPECT_THAT(std::string(ScanMaildir(path + "/.a..b/cur", now).status().message()),
              HasSubstr("neither new nor cur"));
}

TEST_F(MaildirTest, AFileIsReadAlsoWhenItWasRenamedMeanwhile) {
  Put("new/1.a", "x\n");
  fs::create_directory(path + "/cur");
  const MaildirTree tree = Scan();
  fs::rename(path + "/new/1.a", path + "/cur/1.a:2,S");
  EXPECT_EQ(ReadMaildirFile(tree.files[0], 1000)->text, "x\r\n");
  fs::remove(path + "/cur/1.a:2,S");
  EXPECT_EQ(ReadMaildirFile(tree.files[0], 1000).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(MaildirTest, WhatIsWrittenIsFoundWithFolderFlagsAndKeywords) {
  google::protobuf::RepeatedField<int> flags;
  google::protobuf::RepeatedPtrField<std::string> keywords;
  Maildir maildir(path);
  ASSERT_TRUE(maildir.Create().ok());
  ASSERT_TRUE(maildir.Stage("1", "one\n", now).ok());
  EXPECT_TRUE(maildir.IsStaged("1"));
  EXPECT_EQ(maildir.Find("1"), "");
  ASSERT_TRUE(maildir.Publish("1", "INBOX", flags, keywords).ok());
  EXPECT_EQ(maildir.Find("1"), path + "/new/1");
  flags.Add(v1::FLAG_SEEN);
  flags.Add(v1::FLAG_DRAFT);
  *keywords.Add() = "Work";
  *keywords.Add() = "junk";
  Put(".v1&AC4-2/dovecot-keywords", "0 Junk\n");
  ASSERT_TRUE(maildir.Stage("2", "two\n", now).ok());
  ASSERT_TRUE(maildir.Publish("2", "v1.2", flags, keywords).ok());
  ASSERT_TRUE(maildir.Sync().ok());
  EXPECT_EQ(maildir.Find("2"), path + "/.v1&AC4-2/cur/2:2,DSab");
  EXPECT_TRUE(fs::exists(path + "/.v1&AC4-2/maildirfolder"));
  const MaildirTree tree = Scan();
  ASSERT_EQ(tree.files.size(), 2u);
  EXPECT_THAT(tree.files[1].keywords, ElementsAre("Junk", "Work"));
  EXPECT_EQ(tree.files[1].arrival, now);
  // Where a mail server works the file of keywords is the server's.
  Maildir live(path, /*live=*/true);
  ASSERT_TRUE(live.Create().ok());
  EXPECT_EQ(live.Find("2"), path + "/.v1&AC4-2/cur/2:2,DSab");
  *keywords.Add() = "Other";
  ASSERT_TRUE(live.Stage("3", "three\n", now).ok());
  ASSERT_TRUE(live.Publish("3", "v1.2", flags, keywords).ok());
  EXPECT_EQ(live.Find("3"), path + "/.v1&AC4-2/cur/3:2,DSab");
}

TEST_F(MaildirTest, TheStateOfAnExportIsReadWholeOrNotAtAll) {
  const std::string file = path + "/state";
  EXPECT_EQ(ExportState::Read(file)->uid, 0u);
  ExportState state;
  state.uid_validity = 7;
  state.uid = 500;
  state.moving_from = 400;
  state.unread = {17, 401};
  ASSERT_TRUE(state.Write(file).ok());
  const ExportState read = *ExportState::Read(file);
  EXPECT_EQ(read.uid_validity, 7u);
  EXPECT_EQ(read.uid, 500u);
  EXPECT_EQ(read.moving_from, 400u);
  EXPECT_EQ(read.unread, state.unread);
  const std::string text = *ReadWholeFile(file);
  for (size_t length = 0; length + 1 < text.size(); ++length) {
    Put("state", text.substr(0, length));
    EXPECT_FALSE(ExportState::Read(file).ok()) << length;
  }
  Put("state", text + "rubbish");
  EXPECT_TRUE(ExportState::Read(file).ok());
  Put("state", "restante export 2\nend\n");
  EXPECT_THAT(std::string(ExportState::Read(file).status().message()),
              HasSubstr("state: does not say how far"));
}

}  // namespace
}  // namespace restante::cli
