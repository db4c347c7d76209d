#include "server/base/repeated_warning.h"

#include <utility>

namespace restante {

void RepeatedWarning::Say(std::vector<LogField> fields) {
  constexpr int64_t kEveryMicros = 10'000'000;
  const int64_t now = clock_->MonotonicMicros();
  if (said_micros_.has_value() && now - *said_micros_ < kEveryMicros) {
    ++unsaid_;
    return;
  }
  said_micros_ = now;
  if (unsaid_ > 0) fields.emplace_back("unsaid_before", std::exchange(unsaid_, 0));
  Log(LogLevel::kWarning, text_, fields);
}

}  // namespace restante
