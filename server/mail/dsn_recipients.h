// What a copy of a message keeps for notifications (RFC 3461) to those who share it.
#ifndef RESTANTE_SERVER_MAIL_DSN_RECIPIENTS_H_
#define RESTANTE_SERVER_MAIL_DSN_RECIPIENTS_H_

#include <cstddef>
#include <vector>

#include "restante/v1/delivery.pb.h"
#include "server/engine/types.h"

namespace restante::mail {

// In one copy: what is listed with others has to be small. As many as every server has
// to take (RFC 5321, 4.5.3.1.8).
inline constexpr size_t kMaxDsnRecipients = 100;

// Adds a recipient who brings NOTIFY or ORCPT, and is not there with the same already.
// False: there are kMaxDsnRecipients.
bool AddDsnRecipient(const v1::Recipient& recipient, std::vector<engine::stored::DsnRecipient>* recipients);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_DSN_RECIPIENTS_H_
