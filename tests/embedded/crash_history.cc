#include "tests/embedded/crash_history.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace restante::embedded {

Fate Sent::At(int64_t cut) const {
  Fate fate = Fate::kNotAsked;
  for (const Act& act : acts) fate = std::max(fate, act.At(cut));
  return fate;
}

std::string Sent::RetryKey() const { return absl::StrCat(absl::Hex(number, absl::kZeroPad16)); }

std::vector<uint64_t> History::ValuesOf(uint64_t mailbox, uint64_t uid, int64_t cut) const {
  std::vector<uint64_t> values = {0};
  for (const Setting& setting : settings) {
    if (setting.mailbox != mailbox || setting.uid != uid) continue;
    const Fate fate = setting.act.At(cut);
    if (fate == Fate::kYes) values = {setting.value};
    if (fate == Fate::kInFlight) values.push_back(setting.value);
  }
  return values;
}

Fate History::Expunging(uint64_t mailbox, uint64_t uid, int64_t cut) const {
  Fate fate = Fate::kNotAsked;
  for (const Expunged& expunge : expunged) {
    if (expunge.mailbox == mailbox && expunge.uid == uid) fate = std::max(fate, expunge.act.At(cut));
  }
  return fate;
}

}  // namespace restante::embedded
