#include "client/smtp/newline_inspector.h"

#include <cstddef>
#include <cstring>

namespace restante::smtp {

void NewlineInspector::Inspect(absl::string_view in) {
  if (irregular_ || in.empty()) return;
  if (std::memchr(in.data(), '\0', in.size()) != nullptr) {
    irregular_ = true;
    return;
  }
  size_t i = 0;
  if (behind_cr_) {
    if (in[0] != '\n') irregular_ = true;
    i = 1;
    behind_cr_ = false;
  }
  // Every LF must be met behind its CR, and every CR before its LF.
  while (i < in.size() && !irregular_) {
    const void* cr = std::memchr(in.data() + i, '\r', in.size() - i);
    const size_t at =
        cr == nullptr ? in.size() : static_cast<size_t>(static_cast<const char*>(cr) - in.data());
    if (std::memchr(in.data() + i, '\n', at - i) != nullptr) irregular_ = true;
    if (cr == nullptr) break;
    if (at + 1 == in.size()) {
      behind_cr_ = true;
      break;
    }
    if (in[at + 1] != '\n') irregular_ = true;
    i = at + 2;
  }
}

}  // namespace restante::smtp
