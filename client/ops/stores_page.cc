#include "client/ops/stores_page.h"

#include "absl/strings/str_format.h"

namespace restante {

std::string StoresPage(const std::vector<StoreState>& stores) {
  std::string text = absl::StrFormat("restante-smtp %s\n\n%-4s %10s %12s  %s\n", RESTANTE_VERSION, "up",
                                     "open", "begun", "store");
  for (const StoreState& store : stores) {
    absl::StrAppendFormat(&text, "%-4s %10d %12d  %s\n", store.up ? "yes" : "no", store.open,
                          store.transactions, store.address);
  }
  return text;
}

}  // namespace restante
