#include "client/smtp/dsn.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "server/mail/dsn.h"

namespace restante::smtp {
namespace {

constexpr std::pair<absl::string_view, v1::Ret> kRets[] = {{"FULL", v1::RET_FULL}, {"HDRS", v1::RET_HDRS}};
constexpr std::pair<absl::string_view, v1::Notify> kNotifies[] = {{"NEVER", v1::NOTIFY_NEVER},
                                                                  {"SUCCESS", v1::NOTIFY_SUCCESS},
                                                                  {"FAILURE", v1::NOTIFY_FAILURE},
                                                                  {"DELAY", v1::NOTIFY_DELAY}};

template <typename Words>
auto Find(const Words& words, absl::string_view word) {
  const auto found = std::find_if(std::begin(words), std::end(words), [&](const auto& known) {
    return absl::EqualsIgnoreCase(word, known.first);
  });
  return found == std::end(words) ? std::nullopt : std::optional(found->second);
}

}  // namespace

std::optional<v1::Ret> ParseRet(absl::string_view value) { return Find(kRets, value); }

std::optional<std::vector<v1::Notify>> ParseNotify(absl::string_view value) {
  std::vector<v1::Notify> notifies;
  std::vector<int> values;
  for (const absl::string_view word : absl::StrSplit(value, ',')) {
    const std::optional<v1::Notify> notify = Find(kNotifies, word);
    if (!notify.has_value()) return std::nullopt;
    notifies.push_back(*notify);
    values.push_back(*notify);
  }
  if (!dsn::CheckNotify(values).ok()) return std::nullopt;
  return notifies;
}

}  // namespace restante::smtp
