// What a service manager such as systemd is told (sd_notify(3)).
#ifndef RESTANTE_SERVER_BASE_SERVICE_MANAGER_H_
#define RESTANTE_SERVER_BASE_SERVICE_MANAGER_H_

#include "absl/strings/string_view.h"

namespace restante {

// Sends `state` (`READY=1`, `STOPPING=1`, `STATUS=...`; several in lines) to the
// socket that the environment's NOTIFY_SOCKET names. Without one, and if nobody
// listens there, nothing happens.
void NotifyServiceManager(absl::string_view state);

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_SERVICE_MANAGER_H_
