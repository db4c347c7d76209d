#include "client/lib/preference.h"

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace restante::client_internal {
namespace {

// The finalizer of MurmurHash3: every bit of the key changes half of the result's.
uint64_t Mix(uint64_t key) {
  key ^= key >> 33;
  key *= 0xff51afd7ed558ccdULL;
  key ^= key >> 33;
  key *= 0xc4ceb9fe1a85ec53ULL;
  return key ^ key >> 33;
}

}  // namespace

uint64_t MailboxKey(absl::string_view address) {
  absl::ConsumePrefix(&address, "mailboxes/");
  return PreferenceKey(absl::AsciiStrToLower(address));
}

uint64_t PreferenceKey(absl::string_view octets) {
  // FNV-1a: absl::Hash differs from process to process.
  uint64_t key = 0xcbf29ce484222325ULL;
  for (const char c : octets) key = (key ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return Mix(key);
}

uint64_t Weight(uint64_t mailbox, uint64_t store) { return Mix(mailbox ^ store); }

}  // namespace restante::client_internal
