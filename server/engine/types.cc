#include "server/engine/types.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace restante::engine {

std::string TransactionId::ToString() const {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(octets.data()), octets.size()));
}

std::optional<TransactionId> TransactionId::Parse(absl::string_view text) {
  if (text.size() != 32 || !std::all_of(text.begin(), text.end(), absl::ascii_isxdigit)) return std::nullopt;
  return FromBytes(absl::HexStringToBytes(text));
}

std::optional<TransactionId> TransactionId::FromBytes(absl::string_view bytes) {
  TransactionId id;
  if (bytes.size() != id.octets.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), id.octets.begin());
  return id;
}

std::string OpenReceiptKey(absl::string_view retry_key) { return absl::StrCat(kOpenReceiptsFrom, retry_key); }

std::string EntryKey(uint64_t uid) {
  std::string key = "m/";
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(uid >> shift));
  return key;
}

std::optional<uint64_t> EntryUid(const std::string& key) {
  if (key.size() != 10 || key[0] != 'm' || key[1] != '/') return std::nullopt;
  uint64_t uid = 0;
  for (size_t i = 2; i < key.size(); ++i) uid = uid << 8 | static_cast<uint8_t>(key[i]);
  return uid;
}

}  // namespace restante::engine
