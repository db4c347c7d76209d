// What Prometheus is told.
#include "server/ops/store_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/mail/directory.h"
#include "server/ops/metrics_text.h"
#include "tests/embedded/small_store.h"

namespace restante::ops {
namespace {

using embedded::Noise;
using embedded::SmallStore;
using prometheus::MetricType;
using testing::HasSubstr;
using testing::Not;

class StoreMetricsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(store_.Open().ok());
    engine::Engine* engine = store_.engine.get();
    directory_ = std::make_unique<mail::Directory>(engine, mail::Directory::Options());
    deliveries_ = std::make_unique<mail::Deliveries>(engine, directory_.get(), mail::DeliveryOptions(),
                                                     Clock::System());
    provisioning_ = std::make_unique<mail::Provisioning>(engine, engine::QuotaRules(), Clock::System());
    metrics_ = std::make_unique<StoreMetrics>(
        engine, provisioning_.get(), deliveries_.get(),
        [] {
          return AccessFigures{
              .unauthenticated = 3, .permission_denied = 4, .certificate_expires = 1'800'000'000};
        },
        [] {
          return ServiceFigures{.deliver_streams = 5,
                                .watch_streams = 6,
                                .webhook = {.handled = 7, .failed = 8, .dropped = 9, .backlog = 10},
                                .warnings = 11,
                                .drift = {.mailboxes = 12, .bytes = 13, .time_us = 1'700'000'000'000'000}};
        });
  }
  std::map<std::string, double> Values() const {
    std::map<std::string, double> values;
    for (const prometheus::MetricFamily& family : metrics_->Collect()) {
      for (const prometheus::ClientMetric& metric : family.metric) {
        values[family.name] = family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value;
      }
    }
    return values;
  }

  embedded::Directory files_;
  SmallStore store_{files_.path / "data"};
  std::unique_ptr<mail::Directory> directory_;
  std::unique_ptr<mail::Deliveries> deliveries_;
  std::unique_ptr<mail::Provisioning> provisioning_;
  std::unique_ptr<StoreMetrics> metrics_;
};

TEST_F(StoreMetricsTest, EveryFigureOfAnEngineHasAMetric) {
  std::set<std::string> told;
  for (const FigureMetric& metric : FigureMetrics()) told.insert(metric.figure);
  for (const auto& [figure, value] : store_.engine->Figures()) EXPECT_TRUE(told.contains(figure)) << figure;
}

TEST_F(StoreMetricsTest, NamesFollowTheConventions) {
  const std::regex name("restante(_[a-z]+)+");
  std::set<std::string> names;
  for (const prometheus::MetricFamily& family : metrics_->Collect()) {
    EXPECT_TRUE(std::regex_match(family.name, name)) << family.name;
    EXPECT_EQ(absl::EndsWith(family.name, "_total"), family.type == MetricType::Counter) << family.name;
    EXPECT_TRUE(names.insert(family.name).second) << family.name;
    EXPECT_TRUE(absl::EndsWith(family.help, ".")) << family.name;
    EXPECT_FALSE(family.metric.empty()) << family.name;
  }
}

TEST_F(StoreMetricsTest, PhysicalOctetsStandBesideLogicalOnes) {
  const std::map<std::string, double> before = Values();
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, i)).ok());
  const std::map<std::string, double> after = Values();
  EXPECT_EQ(after.at("restante_logical_bytes"), 15'000);
  EXPECT_GE(after.at("restante_disk_used_bytes"), before.at("restante_disk_used_bytes") + 15'000);
  EXPECT_GE(after.at("restante_segments_live_body_bytes"), 15'000);
  EXPECT_EQ(after.at("restante_commits_total"), 3);
  ASSERT_TRUE(store_.Expunge(1).ok());
  EXPECT_EQ(Values().at("restante_logical_bytes"), 10'000);
}

TEST_F(StoreMetricsTest, TheLastScrubIsToldOnceThereIsOne) {
  EXPECT_FALSE(Values().contains("restante_last_scrub_damages"));
  ASSERT_TRUE(store_.Deliver("text").ok());
  const auto scrubbed = embedded::Await<absl::Status>([&](auto done) {
    store_.engine->Scrub(
        0, [](const engine::UpkeepProgress&) { return true; }, std::move(done));
  });
  ASSERT_TRUE(scrubbed.ok()) << scrubbed;
  const std::map<std::string, double> values = Values();
  EXPECT_EQ(values.at("restante_last_scrub_damages"), 0);
  EXPECT_GT(values.at("restante_last_scrub_bytes"), 0);
  EXPECT_GT(values.at("restante_last_scrub_timestamp_seconds"), 1.7e9);
}

TEST_F(StoreMetricsTest, SpreadFiguresAndRefusalsAreTold) {
  deliveries_->refusals().Add({0, v1::OUTCOME_MAILBOX_FULL, "alice@example.org", "192.0.2.1", ""});
  const std::string text = MetricsText(*metrics_);
  EXPECT_THAT(text, HasSubstr("restante_refusals_total{outcome=\"mailbox_full\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE restante_group_sync_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("restante_group_commits_bucket{le=\"+Inf\"}"));
  EXPECT_THAT(text, Not(HasSubstr("alice")));
}

TEST_F(StoreMetricsTest, TheTextIsPrometheusAndHasNoAddress) {
  const std::string text = MetricsText(*metrics_);
  EXPECT_THAT(text, HasSubstr("# TYPE restante_transactions_total counter\n"));
  EXPECT_THAT(text, HasSubstr("restante_transactions_total{outcome=\"stored\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("restante_build_info{version=\""));
  EXPECT_THAT(text, HasSubstr("restante_calls_denied_total{reason=\"unauthenticated\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("restante_calls_denied_total{reason=\"permission_denied\"} 4\n"));
  for (const char* line :
       {"restante_open_streams{method=\"deliver\"} 5\n", "restante_open_streams{method=\"watch_events\"} 6\n",
        "restante_webhook_sent_total 7\n", "restante_webhook_failed_total 8\n",
        "restante_webhook_dropped_total 9\n", "restante_webhook_backlog 10\n",
        "restante_quota_warnings_total 11\n", "restante_quota_drift_mailboxes 12\n",
        "restante_quota_drift_bytes 13\n", "restante_quota_check_timestamp_seconds 1700000000\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, HasSubstr("restante_tls_certificate_expiry_timestamp_seconds 1800000000\n"));
  EXPECT_THAT(text, Not(HasSubstr("@")));
}

}  // namespace
}  // namespace restante::ops
