#include "client/smtp/socket_state.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

namespace restante::smtp {

Unread UnreadOf(int socket) {
  Unread unread;
  int octets = 0;
  if (::ioctl(socket, FIONREAD, &octets) == 0 && octets > 0) unread.octets = static_cast<size_t>(octets);
  pollfd state = {};
  state.fd = socket;
  state.events = POLLRDHUP;
  unread.ended = ::poll(&state, 1, 0) > 0;
  return unread;
}

bool AllAcknowledged(int socket, bool writes_ended) {
  int octets = 0;
  // A FIN counts as an octet (tcp(7): the send queue).
  return ::ioctl(socket, SIOCOUTQ, &octets) == 0 && octets <= (writes_ended ? 1 : 0);
}

}  // namespace restante::smtp
