#include "client/smtp/chunk_decoder.h"

#include <algorithm>

namespace restante::smtp {

size_t ChunkDecoder::Decode(absl::string_view in, size_t room, std::string* out) {
  const auto used = static_cast<size_t>(std::min<uint64_t>(in.size(), left_));
  const size_t taken = out == nullptr ? used : std::min(used, room);
  in = in.substr(0, taken);
  if (out != nullptr) out->append(in.data(), in.size());
  if (inspect_) inspector_.Inspect(in);
  left_ -= taken;
  return taken;
}

}  // namespace restante::smtp
