#include "server/mail/dsn_recipients.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace restante::mail {

using engine::stored::DsnRecipient;

bool AddDsnRecipient(const v1::Recipient& recipient, std::vector<DsnRecipient>* recipients) {
  if (recipient.notify().empty() && recipient.orcpt().empty()) return true;
  DsnRecipient added;
  added.set_address(recipient.address());
  for (const int notify : recipient.notify()) added.add_notify(static_cast<uint32_t>(notify));
  added.set_orcpt(recipient.orcpt());
  const auto is_same = [&](const DsnRecipient& other) {
    return other.address() == added.address() && other.orcpt() == added.orcpt() &&
           std::equal(other.notify().begin(), other.notify().end(), added.notify().begin(),
                      added.notify().end());
  };
  if (std::any_of(recipients->begin(), recipients->end(), is_same)) return true;
  if (recipients->size() >= kMaxDsnRecipients) return false;
  recipients->push_back(std::move(added));
  return true;
}

}  // namespace restante::mail
