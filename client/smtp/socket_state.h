// What the kernel knows of a connection, beyond what was read and written.
#ifndef RESTANTE_CLIENT_SMTP_SOCKET_STATE_H_
#define RESTANTE_CLIENT_SMTP_SOCKET_STATE_H_

#include <cstddef>

namespace restante::smtp {

// What the peer has sent and nobody has read.
struct Unread {
  size_t octets = 0;
  bool ended = false;  // Behind them: it sends no more, or the connection is gone.
};
Unread UnreadOf(int socket);

// Whether the peer's kernel has acknowledged all octets that were written. With
// `writes_ended` our own end may still be on the way. False when it cannot be told.
bool AllAcknowledged(int socket, bool writes_ended);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_SOCKET_STATE_H_
