#include "client/ops/front_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/ops/stores_page.h"
#include "server/ops/metrics_text.h"

namespace restante {
namespace {

using testing::HasSubstr;
using testing::Not;

smtp::TransactionRecord Record(smtp::TransactionEnd end) {
  smtp::TransactionRecord record;
  record.protocol = "ESMTP";
  record.client = "192.0.2.7";
  record.sender = "a@example.net";
  record.recipients = {{"alice@example.org", smtp::kOk}, {"bob@example.org", smtp::kMailboxFull}};
  record.size = 1000;
  record.duration_micros = 2'000'000;
  record.end = end;
  return record;
}

TEST(FrontMetrics, TransactionsAreCountedByOutcomeAndRecipientsByReply) {
  FrontMetrics metrics;
  metrics.Count(Record(smtp::TransactionEnd::kStored));
  metrics.Count(Record(smtp::TransactionEnd::kStored));
  metrics.Count(Record(smtp::TransactionEnd::kAborted));
  const std::string text = ops::MetricsText(metrics);
  EXPECT_THAT(text, HasSubstr("restante_smtp_transactions_total{outcome=\"stored\",protocol=\"ESMTP\"} 2\n"));
  EXPECT_THAT(text,
              HasSubstr("restante_smtp_transactions_total{outcome=\"aborted\",protocol=\"ESMTP\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("restante_smtp_recipients_total{reply=\"452 4.2.2\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("restante_smtp_stored_bytes_total 2000\n"));
  EXPECT_THAT(text, HasSubstr("restante_smtp_transaction_seconds_sum{outcome=\"stored\"} 4\n"));
}

TEST(FrontMetrics, RecipientsThatWereNotKeptAreCountedToo) {
  FrontMetrics metrics;
  smtp::TransactionRecord record = Record(smtp::TransactionEnd::kRefused);
  record.more_refused = 17;
  metrics.Count(record);
  EXPECT_THAT(ops::MetricsText(metrics), HasSubstr("restante_smtp_recipients_total{reply=\"more\"} 17\n"));
}

TEST(FrontMetrics, RefusalsAreCountedByTheirKind) {
  FrontMetrics metrics;
  metrics.CountError(smtp::kBadSequence);
  metrics.CountTurnedAway("too_many_connections");
  policy::Refusal refusal;
  refusal.action = "452 4.2.2 Mailbox full";
  metrics.Count(refusal);
  metrics.CountUnanswered();
  metrics.SetConnections(3);
  const std::string text = ops::MetricsText(metrics);
  EXPECT_THAT(text, HasSubstr("restante_smtp_errors_total{reply=\"503 5.5.1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("restante_smtp_turned_away_total{reason=\"too_many_connections\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("restante_policy_refusals_total{reply=\"452 4.2.2\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("restante_policy_unanswered_total 1\n"));
  EXPECT_THAT(text, HasSubstr("restante_smtp_connections 3\n"));
}

TEST(FrontMetrics, EachStoreIsShown) {
  std::vector<StoreState> stores = {{"192.0.2.1:8354", true, 17, 3}, {"192.0.2.2:8354", false, 4, 0}};
  FrontMetrics metrics([&stores] { return stores; });
  const std::string text = ops::MetricsText(metrics);
  EXPECT_THAT(text, HasSubstr("restante_smtp_store_up{store=\"192.0.2.1:8354\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("restante_smtp_store_up{store=\"192.0.2.2:8354\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("restante_smtp_store_transactions_total{store=\"192.0.2.1:8354\"} 17\n"));
  EXPECT_THAT(text, HasSubstr("restante_smtp_store_open_transactions{store=\"192.0.2.1:8354\"} 3\n"));
  stores.pop_back();
  EXPECT_THAT(ops::MetricsText(metrics), Not(HasSubstr("192.0.2.2")));
}

TEST(FrontMetrics, StoresStandOnThePageForPeople) {
  const std::string page = StoresPage({{"192.0.2.1:8354", true, 17, 3}, {"store:8354", false, 4, 0}});
  EXPECT_THAT(page, HasSubstr("yes           3           17  192.0.2.1:8354\n"));
  EXPECT_THAT(page, HasSubstr("no            0            4  store:8354\n"));
}

TEST(FrontMetrics, NoAddressStandsInALabel) {
  FrontMetrics metrics;
  metrics.Count(Record(smtp::TransactionEnd::kStored));
  EXPECT_THAT(ops::MetricsText(metrics), Not(HasSubstr("example")));
  EXPECT_THAT(ops::MetricsText(metrics), Not(HasSubstr("192.0.2.7")));
}

}  // namespace
}  // namespace restante
