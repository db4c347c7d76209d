#include "server/ops/metrics_text.h"

#include <prometheus/text_serializer.h>

namespace restante::ops {

std::string MetricsText(const prometheus::Collectable& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.Collect());
}

}  // namespace restante::ops
