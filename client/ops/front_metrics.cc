#include "client/ops/front_metrics.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace restante {
namespace {

constexpr double kSecondsPerMicro = 1e-6;

// From a message on a fast disk to the patience of a sender.
const prometheus::Histogram::BucketBoundaries& Seconds() {
  static const auto* const kBuckets = new prometheus::Histogram::BucketBoundaries{
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};
  return *kBuckets;
}

prometheus::Family<prometheus::Counter>& Counters(prometheus::Registry* registry, const char* name,
                                                  const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
}

prometheus::MetricFamily StoreFamily(const char* name, prometheus::MetricType type, const char* help,
                                     const std::vector<StoreState>& stores,
                                     double (*figure)(const StoreState&)) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  for (const StoreState& store : stores) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = {{"store", store.address}};
    metric.gauge.value = metric.counter.value = figure(store);
  }
  return family;
}

}  // namespace

FrontMetrics::FrontMetrics(std::function<std::vector<StoreState>()> stores)
    : stores_(std::move(stores)),
      transactions_(Counters(&registry_, "restante_smtp_transactions_total",
                             "Transactions that ended, by protocol and outcome.")),
      seconds_(prometheus::BuildHistogram()
                   .Name("restante_smtp_transaction_seconds")
                   .Help("From MAIL to the end of a transaction.")
                   .Register(registry_)),
      octets_(Counters(&registry_, "restante_smtp_stored_bytes_total", "Octets of texts that were stored.")
                  .Add({})),
      recipients_(
          Counters(&registry_, "restante_smtp_recipients_total", "Recipients, by the last reply to each.")),
      errors_(Counters(&registry_, "restante_smtp_errors_total",
                       "Commands that were refused for their syntax or sequence, by reply.")),
      turned_away_(
          Counters(&registry_, "restante_smtp_turned_away_total",
                   "Connections that ended before a command of them was read, or TLS began, by reason.")),
      policy_refusals_(Counters(&registry_, "restante_policy_refusals_total",
                                "Policy requests that were refused, by reply.")),
      unanswered_(Counters(&registry_, "restante_policy_unanswered_total",
                           "Policy requests and look-ups that the store did not answer.")
                      .Add({})),
      connections_(prometheus::BuildGauge()
                       .Name("restante_smtp_connections")
                       .Help("Peers connected now.")
                       .Register(registry_)
                       .Add({})) {
  prometheus::BuildGauge()
      .Name("restante_smtp_build_info")
      .Help("1, for the version in its label.")
      .Register(registry_)
      .Add({{"version", RESTANTE_VERSION}})
      .Set(1);
}

void FrontMetrics::Count(const smtp::TransactionRecord& record) {
  const std::string outcome(smtp::ToText(record.end));
  transactions_.Add({{"protocol", std::string(record.protocol)}, {"outcome", outcome}}).Increment();
  seconds_.Add({{"outcome", outcome}}, Seconds())
      .Observe(static_cast<double>(record.duration_micros) * kSecondsPerMicro);
  if (record.end == smtp::TransactionEnd::kStored) octets_.Increment(static_cast<double>(record.size));
  for (const smtp::RecipientRecord& recipient : record.recipients) {
    recipients_.Add({{"reply", smtp::FormatCode(recipient.reply)}}).Increment();
  }
  if (record.more_refused > 0) {
    recipients_.Add({{"reply", "more"}}).Increment(static_cast<double>(record.more_refused));
  }
}

void FrontMetrics::CountError(const smtp::ReplyCode& code) {
  errors_.Add({{"reply", smtp::FormatCode(code)}}).Increment();
}

void FrontMetrics::CountTurnedAway(absl::string_view reason) {
  turned_away_.Add({{"reason", std::string(reason)}}).Increment();
}

void FrontMetrics::Count(const policy::Refusal& refusal) {
  const std::vector<absl::string_view> words = absl::StrSplit(refusal.action, absl::MaxSplits(' ', 2));
  const std::string reply = words.size() < 2 ? refusal.action : absl::StrCat(words[0], " ", words[1]);
  policy_refusals_.Add({{"reply", reply}}).Increment();
}

void FrontMetrics::CountUnanswered() { unanswered_.Increment(); }

void FrontMetrics::SetConnections(size_t connections) { connections_.Set(static_cast<double>(connections)); }

std::vector<prometheus::MetricFamily> FrontMetrics::Collect() const {
  using Type = prometheus::MetricType;
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  if (stores_ == nullptr) return families;
  const std::vector<StoreState> stores = stores_();
  families.push_back(StoreFamily("restante_smtp_store_up", Type::Gauge,
                                 "Whether new transactions go to this store.", stores,
                                 [](const StoreState& store) { return store.up ? 1.0 : 0.0; }));
  families.push_back(StoreFamily(
      "restante_smtp_store_transactions_total", Type::Counter, "Transactions that were begun in this store.",
      stores, [](const StoreState& store) { return static_cast<double>(store.transactions); }));
  families.push_back(StoreFamily("restante_smtp_store_open_transactions", Type::Gauge,
                                 "Transactions that are open in this store.", stores,
                                 [](const StoreState& store) { return static_cast<double>(store.open); }));
  return families;
}

}  // namespace restante
