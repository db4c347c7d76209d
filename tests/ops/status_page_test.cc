// What the status page says, and the history under its plot.
#include "server/ops/status_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/fake_clock.h"
#include "server/ops/rate_history.h"
#include "server/ops/status_source.h"
#include "tests/mail/small_store.h"

namespace restante::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(RateHistory, EachMinuteHasWhatEndedInIt) {
  FakeClock clock;
  OutcomeCounts counts;
  counts.stored = 100;
  absl::Mutex mutex;
  RateHistory history(
      [&] {
        absl::MutexLock lock(&mutex);
        return counts;
      },
      &clock);
  const auto add = [&](uint64_t stored, uint64_t refused) {
    {
      absl::MutexLock lock(&mutex);
      counts.stored += stored;
      counts.refused += refused;
    }
    history.Sample();
  };
  add(3, 0);
  add(4, 1);
  EXPECT_EQ(history.Read().back().stored, 7u) << "what was there before does not count";
  clock.Advance(60'000'000);
  add(5, 0);
  clock.Advance(2 * 60'000'000);
  history.Sample();
  RateHistory::Minutes minutes = history.Read();
  EXPECT_EQ(minutes[59].total(), 0u);
  EXPECT_EQ(minutes[58].total(), 0u);
  EXPECT_EQ(minutes[57].stored, 5u);
  EXPECT_EQ(minutes[56].stored, 7u);
  EXPECT_EQ(minutes[56].refused, 1u);
  clock.Advance(int64_t{56} * 60'000'000);
  history.Sample();
  minutes = history.Read();
  EXPECT_EQ(minutes[0].stored, 7u);
  clock.Advance(60'000'000);
  history.Sample();
  EXPECT_EQ(history.Read()[0].stored, 5u) << "older than an hour";
  clock.Advance(int64_t{1000} * 60'000'000);
  history.Sample();
  for (const OutcomeCounts& minute : history.Read()) EXPECT_EQ(minute.total(), 0u);
}

TEST(StatusPage, WhatOthersChoseIsShownAndNotObeyed) {
  EXPECT_EQ(HtmlEscaped("<a href=\"x\">'&\r\n\xff\xc3\xa4"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xc3\xa4");
  StatusView view;
  view.version = "<version>";
  view.problems = {"<problem>"};
  view.mailboxes_near_limit = {{"<mailbox>\"@example.org", "<used>", 0.5}};
  view.domains_near_limit = {{"<domain>", "1", 0.5}};
  view.refusals = {
      {.outcome = v1::OUTCOME_MAILBOX_FULL, .recipient = "<to>", .client = "<from>", .detail = "<why>"}};
  view.engine_figures = {{"<figure>", 1}};
  view.last_scrub = "<scrub>";
  const std::string html = StatusHtml(view);
  for (const char* word :
       {"version", "problem", "mailbox", "used", "domain", "to", "from", "why", "figure", "scrub"}) {
    EXPECT_THAT(html, Not(HasSubstr(std::string("<") + word + ">"))) << word;
    EXPECT_THAT(html, HasSubstr(std::string("&lt;") + word + "&gt;")) << word;
  }
  EXPECT_THAT(html, Not(HasSubstr("style=")));
  EXPECT_THAT(html, HasSubstr("mailbox full"));
}

TEST(StatusPage, ThePlotHasAColumnForEachMinuteAndAScaleThatFits) {
  RateHistory::Minutes minutes = {};
  minutes[58] = {30, 1, 8, 2};
  const std::string svg = RateChart(minutes);
  EXPECT_THAT(svg, HasSubstr("<title>1 min ago: 30 stored, 1 suppressed, 8 refused, 2 aborted</title>"));
  EXPECT_THAT(svg, HasSubstr(">50</text>"));
  EXPECT_THAT(svg, HasSubstr("stored <b>30</b>"));
  // 30 of 50 in a plot of 120.
  EXPECT_THAT(svg, HasSubstr("class=\"stored\" x=\"740\" y=\"52.00\" width=\"10\" height=\"72.00\""));
}

class StatusSourceTest : public testing::Test, protected mail::SmallStore {
 protected:
  mail::Provisioning provisioning_{engine_.get(), engine::QuotaRules(), &clock_};
  StatusSource source_{engine_.get(), &provisioning_, deliveries_.get(), &clock_};
};

TEST_F(StatusSourceTest, TheFullestAreNamedAndLookedForOnceInHalfAMinute) {
  const uint64_t alice = MakeMailbox("alice", 1000);
  const auto use = [&](uint64_t bytes) {
    stored::v1::Head head = *Look(alice).head;
    head.mutable_mailbox()->set_used_bytes(bytes);
    Put(engine::PartitionId::Mailbox(alice), head);
  };
  use(250);
  ASSERT_EQ(source_.Read().mailboxes_near_limit.size(), 1u);
  const StatusView::Fill fill = source_.Read().mailboxes_near_limit[0];
  EXPECT_EQ(fill.name, "alice@example.org");
  EXPECT_EQ(fill.used, "250 of 1000");
  EXPECT_DOUBLE_EQ(fill.share, 0.25);
  use(500);
  EXPECT_DOUBLE_EQ(source_.Read().mailboxes_near_limit[0].share, 0.25);
  clock_.Advance(31'000'000);
  const StatusView later = source_.Read();
  EXPECT_DOUBLE_EQ(later.mailboxes_near_limit[0].share, 0.5);
  EXPECT_EQ(later.uptime_s, 31);
  EXPECT_TRUE(later.problems.empty());
}

TEST(RecentRefusals, TheNewestAreKeptAndCutShort) {
  mail::RecentRefusals refusals;
  for (size_t i = 0; i < mail::RecentRefusals::kKept + 7; ++i) {
    mail::Refusal refusal;
    refusal.wall_us = static_cast<int64_t>(i);
    refusal.recipient = std::string(10'000, 'x');
    refusals.Add(std::move(refusal));
  }
  const std::vector<mail::Refusal> kept = refusals.List();
  ASSERT_EQ(kept.size(), mail::RecentRefusals::kKept);
  EXPECT_EQ(kept.front().wall_us, static_cast<int64_t>(mail::RecentRefusals::kKept + 6));
  EXPECT_EQ(kept.back().wall_us, 7);
  EXPECT_EQ(kept.front().recipient.size(), mail::RecentRefusals::kMaxText);
}

}  // namespace
}  // namespace restante::ops
