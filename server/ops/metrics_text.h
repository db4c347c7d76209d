// Metrics as Prometheus reads them.
#ifndef RESTANTE_SERVER_OPS_METRICS_TEXT_H_
#define RESTANTE_SERVER_OPS_METRICS_TEXT_H_

#include <prometheus/collectable.h>

#include <string>

namespace restante::ops {

// In Prometheus's text format (version 0.0.4).
std::string MetricsText(const prometheus::Collectable& metrics);

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_METRICS_TEXT_H_
