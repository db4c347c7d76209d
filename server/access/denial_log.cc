#include "server/access/denial_log.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace restante::access {
namespace {

constexpr int64_t kEveryMicros = 10'000'000;
constexpr size_t kMaxEntries = 1'000;

}  // namespace

void DenialLog::Say(absl::string_view caller, absl::string_view peer, absl::string_view method,
                    absl::string_view reason) {
  std::string key = absl::StrCat(caller, "\n", peer, "\n", method, "\n", reason);
  const int64_t now = clock_->MonotonicMicros();
  uint64_t unsaid = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (said_.size() >= kMaxEntries && said_.find(key) == said_.end()) {
      uint64_t forgotten = 0;
      std::erase_if(said_, [now, &forgotten](const auto& entry) {
        if (now - entry.second.at_micros < kEveryMicros) return false;
        forgotten += entry.second.unsaid;
        return true;
      });
      if (forgotten > 0) said_[""].unsaid += forgotten;
      if (said_.size() >= kMaxEntries) key.clear();
    }
    const auto [entry, first] = said_.try_emplace(std::move(key));
    Said& said = entry->second;
    if (!first && now - said.at_micros < kEveryMicros) {
      ++said.unsaid;
      return;
    }
    unsaid = std::exchange(said.unsaid, 0);
    said.at_micros = now;
  }
  std::vector<LogField> fields = {{"caller", caller.empty() ? "unknown" : caller},
                                  {"peer", peer},
                                  {"method", method},
                                  {"reason", reason}};
  if (unsaid > 0) fields.emplace_back("unsaid_before", unsaid);
  Log(LogLevel::kAudit, "call denied", fields);
}

}  // namespace restante::access
