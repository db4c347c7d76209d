// The store's figures as Prometheus metrics, taken when they are asked for.
//
// Names follow https://prometheus.io/docs/practices/naming/: base units, `_total`
// for what only rises while the store runs. No label has an address in it.
#ifndef RESTANTE_SERVER_OPS_STORE_METRICS_H_
#define RESTANTE_SERVER_OPS_STORE_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/engine/engine.h"
#include "server/mail/deliveries.h"
#include "server/mail/event_consumer.h"
#include "server/mail/provisioning.h"
#include "server/mail/quota_drift.h"
#include "server/ops/overview_reader.h"

namespace restante::ops {

// How a figure of an engine (Engine::Figures) is told.
struct FigureMetric {
  const char* figure;
  const char* name;
  prometheus::MetricType type;
  const char* help;
  double scale = 1;  // From the figure's unit to the metric's.
};

// Every figure that an engine may have.
const std::vector<FigureMetric>& FigureMetrics();

// What the door says: calls that were denied, and when the certificate ends, in
// seconds since 1970, if there is one.
struct AccessFigures {
  uint64_t unauthenticated = 0;
  uint64_t permission_denied = 0;
  std::optional<int64_t> certificate_expires;
};

// Who is served by streams, who is told of events, and what of the figures was wrong.
struct ServiceFigures {
  uint64_t deliver_streams = 0, watch_streams = 0;
  mail::EventConsumer::Figures webhook;
  uint64_t warnings = 0;  // Sent.
  mail::QuotaDrift::Found drift;
};

// Any thread; what it is made of outlives it.
class StoreMetrics final : public prometheus::Collectable {
 public:
  StoreMetrics(engine::Engine* engine, mail::Provisioning* provisioning, const mail::Deliveries* deliveries,
               std::function<AccessFigures()> access = nullptr,
               std::function<ServiceFigures()> service = nullptr)
      : engine_(engine),
        deliveries_(deliveries),
        access_(std::move(access)),
        service_(std::move(service)),
        overview_(provisioning, Clock::System(), {}) {}

  // Waits for the engine to read the domains. Without their sums if it cannot; with those
  // of a while ago where that takes long.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  engine::Engine* const engine_;
  const mail::Deliveries* const deliveries_;
  const std::function<AccessFigures()> access_;
  const std::function<ServiceFigures()> service_;
  mutable OverviewReader overview_;
};

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_STORE_METRICS_H_
