// What the front end shows people: its stores.
#ifndef RESTANTE_CLIENT_OPS_STORES_PAGE_H_
#define RESTANTE_CLIENT_OPS_STORES_PAGE_H_

#include <string>
#include <vector>

#include "restante/client_options.h"

namespace restante {

// Plain text, a line for each.
std::string StoresPage(const std::vector<StoreState>& stores);

}  // namespace restante

#endif  // RESTANTE_CLIENT_OPS_STORES_PAGE_H_
