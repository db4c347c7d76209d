// Warnings into mailboxes, their text, and how events are handed on.
#include "server/mail/quota_warnings.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/fake_clock.h"
#include "server/engine/memory/memory_engine.h"
#include "server/mail/append.h"
#include "server/mail/provisioning.h"
#include "tests/mail/fixture.h"
#include "tests/mail/read_all.h"

namespace restante::mail {
namespace {

constexpr int64_t kHour = int64_t{3600} * 1'000'000;

stored::Limit ValueOf(uint64_t value) {
  stored::Limit limit;
  limit.set_kind(stored::Limit::VALUE);
  limit.set_value(value);
  return limit;
}

MailboxSettings Bytes(uint64_t value) {
  MailboxSettings settings;
  settings.max_bytes = ValueOf(value);
  return settings;
}

class QuotaWarningsTest : public testing::Test {
 protected:
  QuotaWarningsTest() {
    engine::MemoryOptions options;
    options.clock = &clock_;
    below_ = engine::NewMemoryEngine(std::move(options));
    engine_ = std::make_unique<MortalEngine>(below_.get());
    provisioning_ = std::make_unique<Provisioning>(engine_.get(), engine::QuotaRules(), &clock_);
    messages_ = std::make_unique<Messages>(engine_.get(), 1 << 20, &clock_);
    EXPECT_TRUE(Get(provisioning_->CreateDomain("example.org", {}, "")).ok());
    EXPECT_TRUE(Get(provisioning_->CreateMailbox(alice_, Bytes(10'000), "")).ok());
    feed_ = std::make_unique<EventFeed>(engine_.get());
  }
  ~QuotaWarningsTest() override { Stop(); }

  void Launch() {
    QuotaWarnings::Options options;
    options.hostname = "mx.example.org";
    options.consumer.first_pause = absl::Milliseconds(1);
    options.consumer.longest_pause = absl::Milliseconds(5);
    warnings_ = std::make_unique<QuotaWarnings>(messages_.get(), feed_.get(), std::move(options));
  }
  void Start() {
    Launch();
    // It begins with what comes from now on.
    while (!Get(feed_->CursorOf("warnings"))->has_value()) absl::SleepFor(absl::Milliseconds(1));
  }
  void Stop() { warnings_.reset(); }

  void Deliver(uint64_t bytes) {
    Append append(messages_.get());
    AppendHeader header;
    header.parent.mailbox = alice_;
    header.size = bytes;
    ASSERT_TRUE(Get(append.Begin(header)).ok());
    ASSERT_TRUE(Get(append.Write(std::string(bytes, 'x'))).ok());
    ASSERT_TRUE(Get(append.Finish()).ok());
  }
  void Delete(uint64_t uid) {
    ASSERT_TRUE(Get(messages_->Delete(ParentRef{alice_, std::nullopt}, {uid})).ok());
  }
  // When all events were handled.
  void AwaitHandled() {
    while (warnings_->figures().backlog > 0) absl::SleepFor(absl::Milliseconds(1));
  }
  std::vector<MessageView> All() {
    return Get(messages_->List(ParentRef{alice_, std::nullopt}, 0, 100, std::nullopt))->items;
  }
  // The warnings in the mailbox.
  std::vector<MessageView> Warnings() {
    std::vector<MessageView> found;
    for (MessageView& view : All()) {
      if (view.entry.exempt()) found.push_back(std::move(view));
    }
    return found;
  }
  std::string TextOf(const MessageView& view) {
    return *Get(ReadAll(messages_.get(), {At(view.mailbox), view.folder, view.entry.uid()}));
  }
  uint64_t EventsSoFar() { return Get(feed_->Kept())->next - 1; }

  const Address alice_{"alice", "example.org"};
  FakeClock clock_;
  std::unique_ptr<engine::Engine> below_;
  std::unique_ptr<MortalEngine> engine_;
  std::unique_ptr<Provisioning> provisioning_;
  std::unique_ptr<Messages> messages_;
  std::unique_ptr<EventFeed> feed_;
  std::unique_ptr<QuotaWarnings> warnings_;
};

TEST_F(QuotaWarningsTest, AMailboxThatReachesAThresholdGetsAMessage) {
  Start();
  Deliver(8'100);
  AwaitHandled();
  ASSERT_EQ(Warnings().size(), 1u);
  const MessageView warning = Warnings()[0];
  EXPECT_EQ(warning.entry.envelope().sender(), "") << "the null reverse path";
  const std::string text = TextOf(warning);
  for (const char* line :
       {"Auto-Submitted: auto-generated\r\n", "From: Mail storage <postmaster@mx.example.org>\r\n",
        "To: <alice@example.org>\r\n", "Subject: Your mailbox is 80 % full\r\n",
        "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n", "\r\nMessage-ID: <quota-warning.1."}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << text;
  }
  EXPECT_EQ(warnings_->sent(), 1u);
  EXPECT_TRUE(ProblemsOf(engine_.get()).empty());
}

TEST_F(QuotaWarningsTest, AWarningCausesNoEventAndNoOtherWarning) {
  Start();
  Deliver(9'480);
  AwaitHandled();
  EXPECT_EQ(EventsSoFar(), 1u);
  ASSERT_EQ(Warnings().size(), 1u);
  const auto view = Get(provisioning_->GetMailbox(alice_));
  EXPECT_GT(view->head.mailbox().used_bytes(), 9'500u) << "charged, and past 95 %";
  EXPECT_EQ(view->head.mailbox().exempt_messages(), 1u);
  EXPECT_EQ(view->head.mailbox().reached_percent(), 90u);
}

TEST_F(QuotaWarningsTest, AFullMailboxIsWarnedAllTheSame) {
  Start();
  Deliver(10'000);
  AwaitHandled();
  EXPECT_EQ(Warnings().size(), 1u);
}

TEST_F(QuotaWarningsTest, AtMostOneInADayAndNoneOnTheWayDown) {
  Start();
  Deliver(8'000);
  AwaitHandled();
  Deliver(1'000);
  AwaitHandled();
  EXPECT_EQ(Warnings().size(), 1u);
  Delete(1);
  AwaitHandled();
  EXPECT_EQ(Warnings().size(), 1u);
  clock_.Advance(24 * kHour - 1);
  Deliver(7'000);
  AwaitHandled();
  EXPECT_EQ(Warnings().size(), 1u);
  Delete(4);
  clock_.Advance(kHour);
  Deliver(7'000);
  AwaitHandled();
  EXPECT_EQ(Warnings().size(), 2u);
}

TEST_F(QuotaWarningsTest, ALoweredLimitWarnsToo) {
  Start();
  Deliver(5'000);
  ASSERT_TRUE(Get(provisioning_->UpdateMailbox(alice_, Bytes(5'000), "")).ok());
  AwaitHandled();
  ASSERT_EQ(Warnings().size(), 1u);
  EXPECT_TRUE(absl::StrContains(TextOf(Warnings()[0]), "Subject: Your mailbox is 100 % full"));
}

TEST_F(QuotaWarningsTest, OneThatWasPutThereBeforeACrashIsNotPutThereAgain) {
  Start();
  Stop();
  Deliver(8'100);
  // The message is there, and what comes behind it is lost: first the note that it is,
  // then how far the events were handled.
  for (const int change : {0, 1}) {
    engine_->KillAt(change);
    Launch();
    while (true) {
      const EventConsumer::Figures figures = warnings_->figures();
      if ((change == 0 ? figures.failed : figures.handled) > 0) break;
      absl::SleepFor(absl::Milliseconds(1));
    }
    Stop();
    EXPECT_TRUE(engine_->dead()) << change;
    engine_->Revive();
    EXPECT_EQ(Warnings().size(), 1u);
  }
  Launch();
  AwaitHandled();
  EXPECT_EQ(Warnings().size(), 1u);
  EXPECT_EQ(EventsSoFar(), 1u);
}

TEST_F(QuotaWarningsTest, WhatHappenedBeforeItsFirstStartIsNobodysWarning) {
  Deliver(8'100);
  Start();
  Deliver(1'000);
  AwaitHandled();
  ASSERT_EQ(Warnings().size(), 1u);
  EXPECT_TRUE(absl::StrContains(TextOf(Warnings()[0]), "90 % full"));
}

TEST_F(QuotaWarningsTest, AMailboxOnHoldOrThatFellAgainGetsNone) {
  Start();
  Stop();
  Deliver(8'100);
  Delete(1);
  Start();
  AwaitHandled();
  EXPECT_TRUE(Warnings().empty());
  Deliver(1'000);
  MailboxSettings settings;
  settings.state = stored::MailboxHead::HOLD;
  settings.max_bytes = ValueOf(1'000);
  ASSERT_TRUE(Get(provisioning_->UpdateMailbox(alice_, settings, "")).ok());
  EXPECT_EQ(EventsSoFar(), 3u);
  AwaitHandled();
  EXPECT_TRUE(Warnings().empty());
}

// --- templates ---------------------------------------------------------------------

stored::Event EventOf(const std::string& address) {
  stored::Event event;
  event.set_sequence(7);
  event.set_time_us(1'700'000'000'000'000);
  stored::QuotaEvent& quota = *event.mutable_quota();
  quota.set_name(address);
  quota.set_percent(90);
  quota.set_used_bytes(1 << 20);
  *quota.mutable_max_bytes() = ValueOf(2 << 20);
  quota.set_used_messages(95);
  *quota.mutable_max_messages() = ValueOf(100);
  return event;
}

TEST(WarningTemplate, FillsItsPlaceholdersAndTellsOfWhatIsFuller) {
  const auto text = WarningTemplate::Parse(
      "From: a@b\nSubject: {{ percent }}{{percent}}\n\n{{used}} of {{limit}} in {{address}} at {{hostname}}");
  ASSERT_TRUE(text.ok()) << text.status();
  const std::string message = text->Fill(EventOf("a@example.org"), "mx");
  EXPECT_TRUE(absl::StrContains(message, "Subject: 9090\r\n")) << message;
  EXPECT_TRUE(absl::EndsWith(message, "\r\n\r\n95 messages of 100 messages in a@example.org at mx\r\n"))
      << message;
  EXPECT_TRUE(absl::StrContains(message, "Content-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_EQ(message, text->Fill(EventOf("a@example.org"), "mx"));
}

TEST(WarningTemplate, KeepsItsOwnMimeAndTakesUtf8) {
  const auto text = WarningTemplate::Parse(
      "From: Post \xc3\xa4 <a@b>\r\nTo: <{{address}}>\r\nContent-Type: text/html\r\n\r\n\xc3\xa4\r\n");
  ASSERT_TRUE(text.ok()) << text.status();
  const std::string message = text->Fill(EventOf("j\xc3\xb6rg@example.org"), "mx");
  EXPECT_FALSE(absl::StrContains(message, "text/plain"));
  EXPECT_TRUE(absl::StrContains(message, "To: <j\xc3\xb6rg@example.org>\r\n"));
}

TEST(WarningTemplate, SaysInWhichLineItIsWrong) {
  const auto error = [](const char* text) {
    return std::string(WarningTemplate::Parse(text).status().message());
  };
  EXPECT_EQ(error("Subject: x\n\ntext\n"), "line 2: the headers end here, and there is no From");
  EXPECT_EQ(error("From: a@b\nhello\n\n"), "line 2: is no header; an empty line ends the headers");
  EXPECT_EQ(error("From: a@b\n\n\n{{used}} {{quota}}\n"),
            "line 4: `{{quota}}` is none of address, percent, used, limit, hostname");
  EXPECT_EQ(error("From: a@b\n\n{{used\n}}"), "line 3: `{{` without `}}`");
  EXPECT_EQ(error("From: a@b\nDate: now\n\n"), "line 2: the store writes this header itself");
  EXPECT_EQ(error("From: a@b\n\n\xff\n"), "line 3: is not UTF-8");
  EXPECT_EQ(error("From: a@b\n\n\x07\n"), "line 3: has a control character");
  EXPECT_EQ(error("From: a@b\n"), "line 1: the text ends in the headers: there is no empty line behind them");
  EXPECT_EQ(error(" folded\n\n"), "line 1: is no header; an empty line ends the headers");
  EXPECT_EQ(error(""), "line 0: the text ends in the headers: there is no empty line behind them");
  EXPECT_EQ(error(("From: a@b\n\n" + std::string(601, 'x')).c_str()), "line 3: has 601 octets, at most 600");
}

}  // namespace
}  // namespace restante::mail
