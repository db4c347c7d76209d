#include "server/ops/store_metrics.h"

#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/engine/upkeep.h"

namespace restante::ops {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double kSecondsPerMicro = 1e-6;

// Of Engine::Histograms.
constexpr struct {
  const char* figure;
  const char* name;
  const char* help;
} kHistograms[] = {
    {"cluster_read_seconds", "restante_cluster_read_seconds", "Time until the cluster had answered a read."},
    {"cluster_write_seconds", "restante_cluster_write_seconds",
     "Time until the cluster had acknowledged a write."},
    {"group_commits", "restante_group_commits", "Deliveries that one sync of the log made durable."},
    {"group_sync_seconds", "restante_group_sync_seconds",
     "Time from the first octet of a group to its sync's end."},
};

ClientMetric Sample(MetricType type, double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return metric;
}

MetricFamily Family(const char* name, MetricType type, const char* help, double value) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.push_back(Sample(type, value));
  return family;
}

// Families, as they are gathered.
class Families {
 public:
  void Add(MetricFamily family) { families_.push_back(std::move(family)); }
  void Add(const char* name, MetricType type, const char* help, double value) {
    Add(Family(name, type, help, value));
  }
  void Gauge(const char* name, const char* help, double value) { Add(name, MetricType::Gauge, help, value); }
  void Gauge(const char* name, const char* help, uint64_t value) {
    Gauge(name, help, static_cast<double>(value));
  }
  std::vector<MetricFamily> Take() { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

void AddBuild(const engine::Engine& engine, Families* families) {
  MetricFamily family =
      Family("restante_build_info", MetricType::Gauge, "1, for the version in its label.", 1);
  family.metric[0].label = {{"version", RESTANTE_VERSION}, {"engine", std::string(engine.name())}};
  families->Add(std::move(family));
}

void AddTransactions(const mail::Deliveries::Counters& counters, Families* families) {
  MetricFamily family;
  family.name = "restante_transactions_total";
  family.help = "Delivery transactions that ended, by outcome.";
  family.type = MetricType::Counter;
  const std::pair<const char*, uint64_t> outcomes[] = {{"stored", counters.stored},
                                                       {"suppressed", counters.suppressed},
                                                       {"refused", counters.refused},
                                                       {"aborted", counters.aborted}};
  for (const auto& [outcome, count] : outcomes) {
    family.metric.push_back(Sample(MetricType::Counter, static_cast<double>(count), {{"outcome", outcome}}));
  }
  families->Add(std::move(family));
  families->Add("restante_suppressed_copies_total", MetricType::Counter,
                "Copies that were not stored, for the mailbox had the message from an earlier delivery whose "
                "answer was lost.",
                static_cast<double>(counters.suppressed_copies));
}

void AddRefusals(const mail::RecentRefusals& refusals, Families* families) {
  MetricFamily family;
  family.name = "restante_refusals_total";
  family.help = "Refusals of a recipient or a whole transaction, by the API's outcome.";
  family.type = MetricType::Counter;
  const std::map<v1::Outcome, uint64_t> counts = refusals.Counts();
  // With those that did not happen yet: a rate needs its beginning.
  for (int value = v1::OUTCOME_OK + 1; value <= v1::Outcome_MAX; ++value) {
    if (!v1::Outcome_IsValid(value)) continue;
    const auto outcome = static_cast<v1::Outcome>(value);
    const auto found = counts.find(outcome);
    absl::string_view name = v1::Outcome_Name(outcome);
    absl::ConsumePrefix(&name, "OUTCOME_");
    family.metric.push_back(Sample(MetricType::Counter,
                                   found == counts.end() ? 0 : static_cast<double>(found->second),
                                   {{"outcome", absl::AsciiStrToLower(name)}}));
  }
  families->Add(std::move(family));
}

void AddHistogram(const char* name, const char* help, const Histogram::Values& values, Families* families) {
  ClientMetric metric;
  for (size_t i = 0; i < values.counts.size(); ++i) {
    metric.histogram.sample_count += values.counts[i];
    metric.histogram.bucket.push_back({.cumulative_count = metric.histogram.sample_count,
                                       .upper_bound = i < values.bounds.size()
                                                          ? values.bounds[i]
                                                          : std::numeric_limits<double>::infinity()});
  }
  metric.histogram.sample_sum = values.sum;
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = MetricType::Histogram;
  family.metric.push_back(std::move(metric));
  families->Add(std::move(family));
}

void AddAccess(const AccessFigures& access, Families* families) {
  MetricFamily family;
  family.name = "restante_calls_denied_total";
  family.help = "Calls of the API that were denied, by what was wanting.";
  family.type = MetricType::Counter;
  for (const auto& [reason, count] : {std::pair("unauthenticated", access.unauthenticated),
                                      std::pair("permission_denied", access.permission_denied)}) {
    family.metric.push_back(Sample(MetricType::Counter, static_cast<double>(count), {{"reason", reason}}));
  }
  families->Add(std::move(family));
  if (access.certificate_expires) {
    families->Gauge("restante_tls_certificate_expiry_timestamp_seconds", "When the TLS certificate ends.",
                    static_cast<double>(*access.certificate_expires));
  }
}

void AddService(const ServiceFigures& service, Families* families) {
  MetricFamily streams;
  streams.name = "restante_open_streams";
  streams.help = "Streams of the API that are open, by method.";
  streams.type = MetricType::Gauge;
  for (const auto& [method, count] :
       {std::pair("deliver", service.deliver_streams), std::pair("watch_events", service.watch_streams)}) {
    streams.metric.push_back(Sample(MetricType::Gauge, static_cast<double>(count), {{"method", method}}));
  }
  families->Add(std::move(streams));
  families->Add("restante_webhook_sent_total", MetricType::Counter, "Events that the webhook has answered.",
                static_cast<double>(service.webhook.handled));
  families->Add("restante_webhook_failed_total", MetricType::Counter,
                "Requests to the webhook without a good answer; each event is posted again.",
                static_cast<double>(service.webhook.failed));
  families->Add("restante_webhook_dropped_total", MetricType::Counter,
                "Events that were too old before the webhook had answered.",
                static_cast<double>(service.webhook.dropped));
  families->Gauge("restante_webhook_backlog", "Events that the webhook has not answered yet.",
                  service.webhook.backlog);
  families->Add("restante_quota_warnings_total", MetricType::Counter,
                "Warnings put into mailboxes that are nearly full.", static_cast<double>(service.warnings));
  families->Gauge("restante_quota_drift_mailboxes",
                  "Mailboxes whose usage was not the sum of their messages, as the last verify, and "
                  "recalculations since, have found.",
                  service.drift.mailboxes);
  families->Gauge("restante_quota_drift_bytes", "By how many octets, all together.", service.drift.bytes);
  if (service.drift.time_us) {
    families->Gauge("restante_quota_check_timestamp_seconds",
                    "When a verify or a recalculation added usage up last; since the start.",
                    static_cast<double>(*service.drift.time_us) * kSecondsPerMicro);
  }
}

void AddCapacity(const v1::Capacity& capacity, Families* families) {
  families->Gauge("restante_capacity_limit_bytes", "Octets that the store may occupy on disk.",
                  capacity.limit_bytes());
  families->Gauge("restante_capacity_reserved_bytes", "Octets promised to deliveries under way.",
                  capacity.reserved_bytes());
  families->Gauge("restante_capacity_available_bytes", "Octets that a message beginning now may measure.",
                  capacity.available_bytes());
  families->Gauge("restante_full",
                  "1 between the high watermark's crossing and the low one's: mail is refused.",
                  uint64_t{capacity.full()});
  families->Gauge("restante_read_only", "1 after a write error, until it is mended: changes are refused.",
                  uint64_t{capacity.read_only()});
}

void AddOverview(const mail::Overview& overview, Families* families) {
  families->Gauge("restante_domains", "Domains.", overview.domains);
  families->Gauge("restante_mailboxes", "Mailboxes.", overview.mailboxes);
  families->Gauge("restante_used_bytes", "Sum of the sizes of all messages of all mailboxes.",
                  overview.used_bytes);
  families->Gauge("restante_messages", "Messages of all mailboxes.", overview.used_messages);
}

void AddLastScrub(const engine::ScrubResult& last, Families* families) {
  families->Gauge("restante_last_scrub_timestamp_seconds", "When the last scrub that came to its end did so.",
                  static_cast<double>(last.end_us) * kSecondsPerMicro);
  families->Gauge("restante_last_scrub_duration_seconds", "How long it took.",
                  static_cast<double>(last.duration_us) * kSecondsPerMicro);
  families->Gauge("restante_last_scrub_bytes", "Octets that it read.", last.bytes);
  families->Gauge("restante_last_scrub_damages", "Damages that it found.", last.damages);
}

}  // namespace

const std::vector<FigureMetric>& FigureMetrics() {
  constexpr MetricType kCounter = MetricType::Counter, kGauge = MetricType::Gauge;
  static const auto& metrics = *new std::vector<FigureMetric>{
      {"ballast_bytes", "restante_ballast_bytes", kGauge,
       "Octets on disk that are let go when others fill it."},
      {"body_files_bytes", "restante_body_files_bytes", kGauge, "Octets in files of large bodies."},
      {"body_memory_bytes", "restante_body_memory_bytes", kGauge, "Memory that messages under way take."},
      {"cluster_conflicts", "restante_cluster_conflicts_total", kCounter,
       "Writes that were made again, for another store had been faster."},
      {"cluster_waiting_micros", "restante_cluster_waiting_seconds", kGauge,
       "For how long the oldest operation has been waiting for the cluster.", kSecondsPerMicro},
      {"commits", "restante_commits_total", kCounter, "Transactions committed."},
      {"compacted_bytes", "restante_compacted_bytes_total", kCounter, "Octets that compaction wrote again."},
      {"compacted_segments", "restante_compacted_segments_total", kCounter,
       "Segments that compaction emptied."},
      {"disk_free_bytes", "restante_disk_free_bytes", kGauge, "Octets free on the file system."},
      {"disk_used_bytes", "restante_disk_used_bytes", kGauge,
       "Octets that the store occupies on disk: the physical ones, to be held against "
       "restante_logical_bytes."},
      {"durable_group", "restante_durable_group", kGauge, "Number of the last group in the log."},
      {"failed_groups", "restante_failed_groups_total", kCounter, "Groups that could not be written."},
      {"groups", "restante_groups_total", kCounter, "Groups written, one append and one sync each."},
      {"index_backlog_bytes", "restante_index_backlog_bytes", kGauge,
       "Octets of groups in the log and not yet in the index."},
      {"index_checkpoints", "restante_index_checkpoints_total", kCounter, "Checkpoints of the index."},
      {"index_damaged", "restante_index_damaged", kGauge,
       "1 when the index is damaged and has to be made again (--rebuild-index)."},
      {"index_disk_bytes", "restante_index_disk_bytes", kGauge, "Octets of the index on disk."},
      {"index_reopened", "restante_index_reopened_total", kCounter,
       "How often the index was opened again after an error."},
      {"keys_in_memory", "restante_keys_in_memory", kGauge, "Keys of the index held in memory."},
      {"cluster_life_sign_age_micros", "restante_cluster_life_sign_age_seconds", kGauge,
       "How old the store's last life sign in the cluster is; from 15 s on it promises nothing.",
       kSecondsPerMicro},
      {"log_written_bytes", "restante_log_written_bytes_total", kCounter, "Octets appended to the log."},
      {"logical_bytes", "restante_logical_bytes", kGauge,
       "Sum of the sizes of all messages, one with several recipients counted for each: the logical octets."},
      {"open_transactions", "restante_open_transactions", kGauge, "Transactions under way."},
      {"recovery_groups", "restante_recovery_groups", kGauge, "Groups that the start read from the log."},
      {"recovery_log_bytes", "restante_recovery_log_bytes", kGauge,
       "Octets that the start read from the log."},
      {"recovery_micros", "restante_recovery_seconds", kGauge, "How long the start took.", kSecondsPerMicro},
      {"runs_swept", "restante_cluster_runs_swept_total", kCounter,
       "Runs of stores that ended without a word and whose remains this store has cleared."},
      {"scrub_bytes", "restante_scrub_bytes_total", kCounter, "Octets that scrubs read."},
      {"scrub_damages", "restante_scrub_damages_total", kCounter, "Damages that scrubs found."},
      {"scrub_running", "restante_scrub_running", kGauge, "1 while a scrub runs."},
      {"scrubs", "restante_scrubs_total", kCounter, "Scrubs that came to their end."},
      {"segment", "restante_segment", kGauge, "Number of the segment that is written."},
      {"segments", "restante_segments", kGauge, "Segments of the log."},
      {"segments_bytes", "restante_segments_bytes", kGauge, "Octets in segments."},
      {"segments_live_body_bytes", "restante_segments_live_body_bytes", kGauge,
       "Octets in segments that some message needs."},
      {"spare_files", "restante_spare_files", kGauge, "Files that are let go when others use up the inodes."},
      {"store_time_seconds", "restante_store_time_seconds", kGauge,
       "How long the store has run in its life."},
      {"waiting_callbacks", "restante_waiting_callbacks", kGauge,
       "Results that wait to be given to who asked for them."},
      {"waiting_changes", "restante_waiting_changes", kGauge, "Changes that wait to become durable."},
      {"waiting_jobs", "restante_waiting_jobs", kGauge,
       "Reads and other work that waits for a thread that may wait for the disk."},
  };
  return metrics;
}

std::vector<MetricFamily> StoreMetrics::Collect() const {
  Families families;
  AddBuild(*engine_, &families);
  const std::map<std::string, uint64_t> figures = engine_->Figures();
  for (const FigureMetric& metric : FigureMetrics()) {
    const auto figure = figures.find(metric.figure);
    if (figure == figures.end()) continue;
    families.Add(metric.name, metric.type, metric.help, static_cast<double>(figure->second) * metric.scale);
  }
  const std::map<std::string, Histogram::Values> histograms = engine_->Histograms();
  for (const auto& [figure, name, help] : kHistograms) {
    const auto found = histograms.find(figure);
    if (found != histograms.end()) AddHistogram(name, help, found->second, &families);
  }
  AddTransactions(deliveries_->counters(), &families);
  AddRefusals(deliveries_->refusals(), &families);
  if (access_) AddAccess(access_(), &families);
  if (service_) AddService(service_(), &families);
  AddCapacity(deliveries_->GetCapacity(), &families);
  if (const absl::StatusOr<mail::Overview> overview = overview_.Get(); overview.ok()) {
    AddOverview(*overview, &families);
  }
  if (const std::optional<engine::ScrubResult> last = engine_->LastScrub()) AddLastScrub(*last, &families);
  return families.Take();
}

}  // namespace restante::ops
