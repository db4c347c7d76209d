#include "server/mail/transaction_id.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace restante::mail {
namespace {

engine::TransactionId HashOf(absl::string_view first, absl::string_view second) {
  std::string input;
  const uint64_t length = first.size();
  for (int shift = 56; shift >= 0; shift -= 8) input.push_back(static_cast<char>(length >> shift));
  absl::StrAppend(&input, first, second);
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(input.data()), input.size(), digest);
  engine::TransactionId id;
  std::copy_n(digest, id.octets.size(), id.octets.begin());
  return id;
}

}  // namespace

engine::TransactionId MakeTransactionId(absl::string_view caller, absl::string_view request_id) {
  return HashOf(caller, request_id);
}

std::string MakeRetryKey(absl::string_view reverse_path, absl::string_view digest) {
  return HashOf(reverse_path, digest).ToBytes();
}

}  // namespace restante::mail
