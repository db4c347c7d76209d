// A warning that peers can cause at will.
#ifndef RESTANTE_SERVER_BASE_REPEATED_WARNING_H_
#define RESTANTE_SERVER_BASE_REPEATED_WARNING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/base/log.h"

namespace restante {

// Said at most every ten seconds, with how many were not. One thread.
class RepeatedWarning {
 public:
  RepeatedWarning(std::string text, const Clock* clock) : text_(std::move(text)), clock_(clock) {}

  void Say(std::vector<LogField> fields);

 private:
  const std::string text_;
  const Clock* const clock_;
  std::optional<int64_t> said_micros_;
  uint64_t unsaid_ = 0;
};

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_REPEATED_WARNING_H_
