// What the front end counts, as Prometheus metrics.
//
// Names follow https://prometheus.io/docs/practices/naming/. No label has an address of
// mail or of a client in it, and each has few values: reply codes are those of reply.h
// and of the store's outcomes, stores those that there are.
#ifndef RESTANTE_CLIENT_OPS_FRONT_METRICS_H_
#define RESTANTE_CLIENT_OPS_FRONT_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/policy/responder.h"
#include "client/smtp/reply.h"
#include "client/smtp/transaction_record.h"
#include "restante/client_options.h"

namespace restante {

// Any thread.
class FrontMetrics final : public prometheus::Collectable {
 public:
  // `stores` is asked for the stores whenever the metrics are read. May be absent.
  explicit FrontMetrics(std::function<std::vector<StoreState>()> stores = nullptr);

  // A transaction has ended: its outcome, its size if it was stored, its duration,
  // and the last reply to each recipient.
  void Count(const smtp::TransactionRecord& record);

  // A command was refused by the protocol itself.
  void CountError(const smtp::ReplyCode& code);

  // A peer was turned away before it said anything. `reason`: a word or two that
  // stand for the kind, like `too_many_connections`.
  void CountTurnedAway(absl::string_view reason);

  // A policy request was refused.
  void Count(const policy::Refusal& refusal);

  // The store did not answer a policy request or a look-up.
  void CountUnanswered();

  // Peers connected now.
  void SetConnections(size_t connections);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::function<std::vector<StoreState>()> stores_;
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& transactions_;
  prometheus::Family<prometheus::Histogram>& seconds_;
  prometheus::Counter& octets_;
  prometheus::Family<prometheus::Counter>& recipients_;
  prometheus::Family<prometheus::Counter>& errors_;
  prometheus::Family<prometheus::Counter>& turned_away_;
  prometheus::Family<prometheus::Counter>& policy_refusals_;
  prometheus::Counter& unanswered_;
  prometheus::Gauge& connections_;
};

}  // namespace restante

#endif  // RESTANTE_CLIENT_OPS_FRONT_METRICS_H_
