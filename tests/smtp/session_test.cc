// What dialogues cannot say: tables, bounds, time, and the end of objects.
#include "client/smtp/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/smtp/received_header.h"
#include "tests/smtp/machine.h"

namespace restante::smtp {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// Speaks up to 354.
void OpenText(Machine* machine, const std::string& mail = "MAIL FROM:<a@b.c>") {
  machine->Send("EHLO client.example\r\n" + mail + "\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n");
  ASSERT_THAT(machine->Output(), HasSubstr("\r\n354 "));
}

TEST(Session, DeclaredSizeIsTheTextAndOurHeader) {
  Machine machine({});
  OpenText(&machine, "MAIL FROM:<a@b.c> SIZE=12");
  machine.Send("0123456789\r\n.\r\n");
  ASSERT_EQ(machine.store().stored.size(), 1u);
  const FakeStore::Stored& stored = machine.store().stored[0];
  EXPECT_EQ(stored.begin.declared_size(), stored.text.size());
  EXPECT_EQ(machine.store().chunks, 1u) << "a small message is one chunk";
  EXPECT_THAT(stored.text, StartsWith("Received: from client.example ([192.0.2.7])"));
  EXPECT_THAT(stored.text, HasSubstr(" with ESMTP\r\n\tid 00000000000000000000000000000001;"));
  EXPECT_THAT(stored.text, EndsWith("+0000\r\n0123456789\r\n"));
}

TEST(Session, NoSizeAndSizeZeroDeclareNothing) {
  for (const char* mail : {"MAIL FROM:<a@b.c>", "MAIL FROM:<a@b.c> SIZE=0"}) {
    Machine machine({});
    OpenText(&machine, mail);
    EXPECT_FALSE(machine.store().begun[0].has_declared_size()) << mail;
  }
}

TEST(Session, AHugeSizeDoesNotWrap) {
  Machine machine({});
  OpenText(&machine, "MAIL FROM:<a@b.c> SIZE=99999999999999999999");
  EXPECT_EQ(machine.store().begun[0].declared_size(), uint64_t{1} << 62);
}

TEST(Session, BeginSaysWhoAsks) {
  SessionOptions options;
  options.protocol = Protocol::kLmtp;
  Machine machine(options);
  machine.Send("LHLO client.example\r\nMAIL FROM:<\"b ob\"@example.net>\r\n");
  const v1::Begin& begin = machine.store().begun.at(0);
  EXPECT_EQ(begin.sender(), "\"b ob\"@example.net");
  EXPECT_EQ(begin.client().address(), "192.0.2.7");
  EXPECT_EQ(begin.client().helo(), "client.example");
  EXPECT_EQ(begin.mode(), v1::Begin::PER_RECIPIENT);
  EXPECT_EQ(begin.request_id().size(), 16u);
}

TEST(Session, BeginKnowsTheRecipientThatCameWithMail) {
  const struct {
    const char* input;
    const char* foreseen;
  } cases[] = {
      {"MAIL FROM:<a@b.c>\r\nRCPT TO:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\n",
       "alice@example.org"},
      {"MAIL FROM:<a@b.c>\r\nrcpt to: <\"al ice\"@example.org> NOTIFY=NEVER\r\n", "\"al ice\"@example.org"},
      {"MAIL FROM:<a@b.c>\r\n", ""},
      {"MAIL FROM:<a@b.c>\r\nRCPT TO:<alice@exam", ""},
      {"MAIL FROM:<a@b.c>\r\nRSET\r\nRCPT TO:<alice@example.org>\r\n", ""},
  };
  for (const auto& [input, foreseen] : cases) {
    Machine machine({});
    machine.Send("EHLO client.example\r\n");
    machine.Send(input);
    EXPECT_THAT(machine.store().foreseen, ElementsAre(foreseen)) << input;
  }
}

TEST(Session, AdvertisedSizeIsTakenWhole) {
  Machine machine({});
  machine.store().capacity_answer.set_max_message_bytes(10'000);
  machine.Send("EHLO client.example\r\n");
  const std::string output = machine.Output();
  const uint64_t advertised = std::stoull(output.substr(output.find("250-SIZE ") + 9));
  machine.Send(absl::StrCat("MAIL FROM:<a@b.c> SIZE=", advertised, "\r\n"));
  EXPECT_LE(machine.store().begun.at(0).declared_size(), 10'000u);
  // This one has the longest header of ours.
  machine.Send(absl::StrCat("RSET\r\nMAIL FROM:<a@b.c> SMTPUTF8 SIZE=", advertised, "\r\n"));
  EXPECT_EQ(machine.store().begun.at(1).declared_size(), 10'000u);
}

TEST(Session, TheHeaderSaysThatAddressesMayBeUtf8) {
  for (const auto& [protocol, hello, name] :
       {std::tuple(Protocol::kSmtp, "EHLO", "UTF8SMTP"), std::tuple(Protocol::kLmtp, "LHLO", "UTF8LMTP")}) {
    SessionOptions options;
    options.protocol = protocol;
    Machine machine(options);
    machine.Send(absl::StrCat(hello, " c\r\nMAIL FROM:<j\xc3\xb6rg@b.c> SMTPUTF8 SIZE=4\r\n",
                              "RCPT TO:<\xc3\xa4@x>\r\nBDAT 4 LAST\r\ntext"));
    ASSERT_EQ(machine.store().stored.size(), 1u);
    const FakeStore::Stored& stored = machine.store().stored[0];
    EXPECT_THAT(stored.text, HasSubstr(absl::StrCat(" with ", name, "\r\n\tid ")));
    EXPECT_EQ(stored.begin.declared_size(), stored.text.size());
    EXPECT_EQ(stored.begin.sender(), "j\xc3\xb6rg@b.c");
    EXPECT_EQ(machine.records().back().protocol, name);
  }
}

TEST(Session, WhatIsSaidAboutNotificationsReachesTheStore) {
  for (const auto& [protocol, advertised] :
       {std::pair(Protocol::kSmtp, false), std::pair(Protocol::kSmtp, true),
        std::pair(Protocol::kLmtp, false)}) {
    SessionOptions options;
    options.protocol = protocol;
    options.advertise_dsn = advertised;
    Machine machine(options);
    machine.Send(absl::StrCat(protocol == Protocol::kLmtp ? "LHLO" : "EHLO",
                              " c\r\n"
                              "MAIL FROM:<a@b.c> ret=hdrs ENVID=QQ+2B1\r\n"
                              "RCPT TO:<d@e.f> ORCPT=rfc822;D+2Be@e.f NOTIFY=delay,Success\r\n"
                              "RCPT TO:<g@e.f> NOTIFY=NEVER\r\n"
                              "RCPT TO:<h@e.f>\r\n"
                              "RSET\r\nMAIL FROM:<a@b.c>\r\n"));
    ASSERT_EQ(machine.store().begun.size(), 2u);
    EXPECT_EQ(machine.store().begun[0].ret(), v1::RET_HDRS);
    EXPECT_EQ(machine.store().begun[0].envid(), "QQ+2B1");
    EXPECT_EQ(machine.store().begun[1].ret(), v1::RET_UNSPECIFIED);
    EXPECT_EQ(machine.store().begun[1].envid(), "");
    const std::vector<v1::Recipient>& asked = machine.store().asked;
    ASSERT_EQ(asked.size(), 3u);
    EXPECT_THAT(asked[0].notify(), ElementsAre(v1::NOTIFY_DELAY, v1::NOTIFY_SUCCESS));
    EXPECT_EQ(asked[0].orcpt(), "rfc822;D+2Be@e.f");
    EXPECT_THAT(asked[1].notify(), ElementsAre(v1::NOTIFY_NEVER));
    EXPECT_EQ(asked[1].orcpt(), "");
    EXPECT_THAT(asked[2].notify(), IsEmpty());
    EXPECT_EQ(asked[2].orcpt(), "");
  }
}

TEST(Session, AdvertisedRecipientsAreTheSmallerLimit) {
  for (const auto& [own, of_the_store, said] :
       {std::tuple(1000u, 0u, 1000u), std::tuple(1000u, 200u, 200u), std::tuple(100u, 200u, 100u)}) {
    SessionOptions options;
    options.max_recipients = own;
    Machine machine(options);
    machine.store().capacity_answer.set_max_recipients(of_the_store);
    machine.Send("EHLO client.example\r\n");
    EXPECT_THAT(machine.Output(), HasSubstr(absl::StrCat("\r\n250-LIMITS RCPTMAX=", said, "\r\n")));
  }
}

TEST(Session, AnEndlessLineCostsNoMemoryAndOneReply) {
  Machine machine({});
  machine.Output();
  const std::string piece(65536, 'x');
  for (int i = 0; i < 200; ++i) {
    machine.Send(piece);
    ASSERT_LE(machine.session().buffered(), 2048u);
  }
  EXPECT_EQ(machine.Output(), "");
  const uint64_t before = machine.session().progress();
  machine.Send("\r\nNOOP\r\n");
  EXPECT_THAT(machine.Output(), testing::MatchesRegex("500 5.5.6 [^\r]*\r\n250 2.0.0 [^\r]*\r\n"));
  EXPECT_GT(machine.session().progress(), before);
}

TEST(Session, OctetsOfAnUnfinishedLineAreNoProgress) {
  Machine machine({});
  const uint64_t before = machine.session().progress();
  machine.Send("NO");
  machine.Send("OP");
  EXPECT_EQ(machine.session().progress(), before);
  machine.Send("\r\n");
  EXPECT_GT(machine.session().progress(), before);
}

TEST(Session, ATextThatIsThrownAwayIsProgressByTheBlockOnly) {
  Machine machine({});
  machine.Send("EHLO c\r\nBDAT 1000000\r\n");
  const uint64_t before = machine.session().progress();
  for (int i = 0; i < 65'535; ++i) machine.Send("x");
  EXPECT_EQ(machine.session().progress(), before);
  machine.Send("x");
  EXPECT_GT(machine.session().progress(), before);
}

TEST(Session, AStoreThatGrantsNothingStopsTheReading) {
  Machine machine({});
  machine.store().auto_credit = false;
  machine.store().window = 256 * 1024;
  OpenText(&machine);
  const std::string piece(65536, 'x');
  size_t sent = 0;
  while (machine.session().wants_input()) {
    machine.Send(piece);
    sent += piece.size();
    ASSERT_LE(sent, 512u * 1024) << "reads on";
    ASSERT_LE(machine.session().buffered(), 2 * 65536u);
  }
  EXPECT_EQ(machine.store().chunk_octets, 256u * 1024);
  machine.store().Grant(1 << 20);
  machine.Run();
  EXPECT_TRUE(machine.session().wants_input());
  machine.Send("\r\n.\r\n");
  ASSERT_EQ(machine.store().stored.size(), 1u);
  EXPECT_THAT(machine.store().stored[0].text, EndsWith(std::string(sent, 'x') + "\r\n"));
  EXPECT_THAT(machine.store().violations, IsEmpty());
}

TEST(Session, ALargeTextLeavesInPiecesAndIsNotHeld) {
  Machine machine({});
  OpenText(&machine);
  const std::string piece = std::string(1398, 'x') + "\r\n";
  for (int i = 0; i < 10'000; ++i) {
    machine.Send(piece);
    ASSERT_LE(machine.session().buffered(), 65536u);
  }
  machine.Send(".\r\n");
  EXPECT_THAT(machine.Output(), StartsWith("250 2.0.0 "));
  EXPECT_EQ(machine.records().back().size, 14'000'000u);
  EXPECT_LT(machine.store().chunks, 10'000u / 10) << "small reads are gathered";
}

TEST(Session, ASlowTextIsPassedOnBeforeTheStoreLosesPatience) {
  Machine machine({});
  OpenText(&machine);
  machine.Send("first\r\n");
  EXPECT_EQ(machine.store().chunks, 0u);
  machine.clock().Advance(10'000'000);
  machine.Send("second\r\n");
  EXPECT_EQ(machine.store().chunks, 1u);
}

TEST(Session, ThousandsOfPipelinedRecipientsAreAnsweredInOrder) {
  SessionOptions options;
  options.max_recipients = 2500;
  Machine machine(options);
  std::string group = "HELO c\r\nMAIL FROM:<a@b.c>\r\n";
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&group, "RCPT TO:<", i, "@x>\r\n");
  machine.Output();
  machine.Send(group + "DATA\r\n");
  std::string expected = "250 localhost\r\n250 2.1.0 Sender ok\r\n";
  for (int i = 0; i < 3000; ++i) {
    absl::StrAppend(&expected, i < 2500 ? absl::StrCat("250 2.1.5 <", i, "@x>: Recipient ok\r\n")
                                        : "452 4.5.3 Too many recipients\r\n");
  }
  EXPECT_EQ(machine.Output(), expected + "354 End data with <CR><LF>.<CR><LF>\r\n");
  EXPECT_THAT(machine.store().violations, IsEmpty());
}

TEST(Session, RefusedRecipientsAreLoggedUpToABound) {
  Machine machine({});
  machine.store().recipients["no@x"] = v1::OUTCOME_NO_SUCH_MAILBOX;
  machine.Send("HELO c\r\nMAIL FROM:<a@b.c>\r\n");
  for (int i = 0; i < 5000; ++i) machine.Send("RCPT TO:<no@x>\r\n");
  machine.Send("RCPT TO:<alice@x>\r\nQUIT\r\n");
  ASSERT_EQ(machine.records().size(), 1u);
  EXPECT_EQ(machine.records()[0].recipients.size(), 101u);
  EXPECT_EQ(machine.records()[0].more_refused, 4900u);
  EXPECT_TRUE(machine.session().closed());
}

TEST(Session, LogLineHoldsTheLastWordOnEachRecipient) {
  SessionOptions options;
  options.protocol = Protocol::kLmtp;
  Machine machine(options);
  machine.store().receipts["b@x"] = v1::OUTCOME_MAILBOX_FULL;
  machine.store().recipients["c@x"] = v1::OUTCOME_NO_SUCH_MAILBOX;
  machine.Send(
      "LHLO me\r\nMAIL FROM:<a@b.c> SIZE=7\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n");
  machine.clock().Advance(1500);
  machine.Send("hello\r\n.\r\n");
  ASSERT_EQ(machine.records().size(), 1u);
  const TransactionRecord& record = machine.records()[0];
  ASSERT_EQ(record.recipients.size(), 3u);
  EXPECT_EQ(FormatCode(record.recipients[0].reply), "250 2.0.0");
  EXPECT_EQ(FormatCode(record.recipients[1].reply), "452 4.2.2");
  EXPECT_EQ(FormatCode(record.recipients[2].reply), "550 5.1.1");
  EXPECT_EQ(record.end, TransactionEnd::kStored);
  EXPECT_EQ(record.size, 7u);
  EXPECT_EQ(record.declared_size, 7u);
  EXPECT_EQ(record.duration_micros, 1500);
  EXPECT_EQ(record.helo, "me");
  EXPECT_EQ(record.transaction_id, std::string(31, '0') + "1");
}

TEST(Session, ADisconnectGivesUpWhatIsOpenAtEveryStep) {
  for (const std::string text :
       {"DATA\r\nhello\r\nworld\r\n.\r\n", "BDAT 5\r\nhelloBDAT 7 LAST\r\nworld\r\n"}) {
    const std::string conversation = "HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@x>\r\n" + text;
    for (size_t length = 0; length <= conversation.size(); ++length) {
      SCOPED_TRACE(absl::CEscape(conversation.substr(0, length)));
      Machine machine({});
      machine.Send(conversation.substr(0, length));
      machine.Disconnect();
      machine.store().Drain();
      EXPECT_EQ(machine.store().open, 0u);
      const bool whole = length == conversation.size();
      EXPECT_EQ(machine.store().stored.size(), whole ? 1u : 0u);
      EXPECT_EQ(machine.store().aborted, machine.store().begun.size() - (whole ? 1 : 0));
      EXPECT_EQ(machine.records().size(), machine.store().begun.size());
    }
  }
}

TEST(Session, AnAnswerThatComesAfterTheEndFindsNobody) {
  for (const FakeStore::Step step :
       {FakeStore::Step::kBegin, FakeStore::Step::kRecipient, FakeStore::Step::kData,
        FakeStore::Step::kCommit, FakeStore::Step::kSettle, FakeStore::Step::kAbort}) {
    Machine machine({});
    machine.store().hold_at.insert(step);
    if (step == FakeStore::Step::kSettle) machine.store().lose_at.insert(FakeStore::Step::kCommit);
    machine.Send("HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@x>\r\n");
    machine.Send(step == FakeStore::Step::kAbort ? "RSET\r\n" : "DATA\r\n");
    machine.Send("hello\r\n.\r\n");
    EXPECT_FALSE(machine.session().wants_input());
    machine.Disconnect();
    machine.store().Release();
    machine.store().Drain();
    ASSERT_EQ(machine.records().size(), 1u);
    const bool unknown = step == FakeStore::Step::kCommit || step == FakeStore::Step::kSettle;
    EXPECT_EQ(machine.records()[0].end, unknown ? TransactionEnd::kUnknown : TransactionEnd::kAborted);
  }
}

TEST(Session, SettlingNamesTheRequestAndTheMailboxes) {
  Machine machine({});
  machine.store().lose_at.insert(FakeStore::Step::kCommit);
  machine.store().settled = FakeStore::Settled::kCommitted;
  machine.Send("HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<1@x>\r\nRCPT TO:<2@x>\r\nDATA\r\nhello\r\n.\r\n");
  EXPECT_EQ(machine.store().settles, 1u);
  EXPECT_EQ(machine.store().settle_request_id, machine.store().begun.at(0).request_id());
  EXPECT_THAT(machine.store().settle_mailboxes, testing::ElementsAre("mailboxes/1@x", "mailboxes/2@x"));
}

TEST(Session, NeitherIdleTimeNorTheGracesEndInterruptsACommit) {
  Machine machine({});
  machine.store().hold_at.insert(FakeStore::Step::kCommit);
  OpenText(&machine);
  machine.Send("hello\r\n.\r\n");
  machine.session().IdleTimeout();
  machine.session().Shutdown(true);
  EXPECT_FALSE(machine.session().closed());
  EXPECT_EQ(machine.Output(), "");
  machine.store().Release();
  machine.Run();
  EXPECT_THAT(machine.Output(), testing::MatchesRegex("250 2.0.0 [^\r]*\r\n421 4.3.2 [^\r]*\r\n"));
  EXPECT_TRUE(machine.session().closed());
}

// One transaction of a trusted client, begun and given up.
TransactionRecord Forwarding(Machine* machine, const std::string& before_mail) {
  machine->Send(before_mail + "MAIL FROM:<a@b.c>\r\nRSET\r\n");
  return machine->records().back();
}

TEST(XforwardTest, GoesIntoTheRecordAndToTheStoreForOneTransaction) {
  Machine machine(SessionOptions(), {}, 0, /*trusted=*/true);
  machine.Send("EHLO mta.example\r\n");
  TransactionRecord record =
      Forwarding(&machine,
                 "XFORWARD NAME=c.example ADDR=IPv6:2001:DB8::9 PORT=4321\r\n"
                 "XFORWARD PROTO=ESMTP HELO=c+2Eexample IDENT=4B+2b7+0a SOURCE=Local\r\n");
  ASSERT_NE(record.forwarded, nullptr);
  EXPECT_EQ(record.client, "192.0.2.7");
  EXPECT_EQ(record.helo, "mta.example");
  EXPECT_EQ(record.forwarded->name, "c.example");
  EXPECT_EQ(record.forwarded->address, "2001:db8::9");
  EXPECT_EQ(record.forwarded->port, "4321");
  EXPECT_EQ(record.forwarded->protocol, "ESMTP");
  EXPECT_EQ(record.forwarded->helo, "c.example");
  EXPECT_EQ(record.forwarded->ident, "4B+7?");
  EXPECT_EQ(record.forwarded->source, "LOCAL");
  EXPECT_EQ(machine.store().begun.back().client().address(), "2001:db8::9");
  EXPECT_EQ(machine.store().begun.back().client().helo(), "c.example");
  record = Forwarding(&machine, "");
  EXPECT_EQ(record.forwarded, nullptr);
  EXPECT_EQ(machine.store().begun.back().client().address(), "192.0.2.7");
  EXPECT_EQ(machine.store().begun.back().client().helo(), "mta.example");
}

TEST(XforwardTest, WhatIsNotKnownLeavesTheClientAsItIsAndAnErrorSetsNothing) {
  Machine machine(SessionOptions(), {}, 0, /*trusted=*/true);
  machine.Send("EHLO mta.example\r\n");
  const TransactionRecord record = Forwarding(&machine,
                                              "XFORWARD ADDR=192.0.2.9 IDENT=1\r\n"
                                              "XFORWARD IDENT=2 PORT=x\r\n"
                                              "XFORWARD ADDR=[UNAVAILABLE]\r\n");
  ASSERT_NE(record.forwarded, nullptr);
  EXPECT_EQ(record.forwarded->ident, "1");
  EXPECT_EQ(record.forwarded->address, "");
  EXPECT_EQ(machine.store().begun.back().client().address(), "192.0.2.7");
}

TEST(XforwardTest, IsForgottenByRsetHelloAndStarttls) {
  SessionOptions options;
  options.offer_tls = true;
  Machine machine(options, {}, 0, /*trusted=*/true);
  for (const char* forgets : {"RSET\r\n", "EHLO again\r\n", "STARTTLS\r\n"}) {
    machine.Send("EHLO c\r\nXFORWARD IDENT=1\r\n");
    machine.Send(forgets);
    if (machine.session().wants_tls()) {
      ASSERT_TRUE(machine.Event("tls").ok());
      machine.Send("EHLO c\r\n");
    }
    EXPECT_EQ(Forwarding(&machine, "").forwarded, nullptr) << forgets;
  }
}

TEST(TlsSession, NothingBehindStarttlsIsReadHoweverItIsCut) {
  SessionOptions options;
  options.offer_tls = true;
  Machine machine(options);
  machine.Output();
  machine.session().Input("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x>\r\nMAI");
  EXPECT_THAT(machine.Output(), AllOf(StartsWith("220 2.0.0 "), Not(HasSubstr("250"))));
  EXPECT_FALSE(machine.session().wants_input());
  EXPECT_EQ(machine.session().buffered(), 0u);
  ASSERT_TRUE(machine.Event("tls").ok());
  machine.Send("NOOP\r\n");
  EXPECT_THAT(machine.Output(), StartsWith("250 2.0.0 "));
  EXPECT_THAT(machine.store().begun, IsEmpty());
}

}  // namespace
}  // namespace restante::smtp
