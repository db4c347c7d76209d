#include "server/engine/scrub_record.h"

#include <utility>

namespace restante::engine {
namespace {

constexpr int kFirstDamages = 10;

Damage FromRecord(const stored::ScrubRecord::Damage& from) {
  Damage damage{.file = from.file(), .offset = from.offset(), .problem = from.problem(), .messages = {}};
  for (const auto& message : from.messages()) damage.messages.emplace_back(message.mailbox(), message.uid());
  return damage;
}

}  // namespace

void AddDamage(const Damage& damage, stored::ScrubRecord::Result* to) {
  to->set_damages(to->damages() + 1);
  if (to->first_damages_size() == kFirstDamages) return;
  auto& first = *to->add_first_damages();
  first.set_file(damage.file);
  first.set_offset(damage.offset);
  first.set_problem(damage.problem);
  for (const auto& [mailbox, uid] : damage.messages) {
    // All the messages of a segment would be too many to keep.
    if (first.messages_size() == kFirstDamages) break;
    auto& message = *first.add_messages();
    message.set_mailbox(mailbox);
    message.set_uid(uid);
  }
}

ScrubResult FromRecord(const stored::ScrubRecord::Result& from) {
  ScrubResult result{.end_us = from.end_us(),
                     .duration_us = from.duration_us(),
                     .bytes = from.bytes(),
                     .damages = from.damages(),
                     .first_damages = {}};
  for (const auto& damage : from.first_damages()) result.first_damages.push_back(FromRecord(damage));
  return result;
}

}  // namespace restante::engine
