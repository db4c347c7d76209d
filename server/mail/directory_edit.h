// One change of the directory partition: addresses, the aliases of each mailbox,
// and the count of addresses in each domain, kept in step.
#ifndef RESTANTE_SERVER_MAIL_DIRECTORY_EDIT_H_
#define RESTANTE_SERVER_MAIL_DIRECTORY_EDIT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/engine.h"
#include "server/mail/address.h"
#include "server/mail/directory.h"

namespace restante::mail {

// Lives within one run of an update function. Whatever it is asked about must be
// among the keys of the update (KeysOf).
class DirectoryEdit {
 public:
  explicit DirectoryEdit(const engine::View& view);

  // All keys that an edit of these addresses needs.
  static std::vector<std::string> KeysOf(const std::vector<Address>& addresses);

  // nullopt: not there. kDataLoss: cannot be read.
  absl::StatusOr<std::optional<stored::DirectoryDomain>> Domain(const std::string& domain) const;
  absl::StatusOr<std::optional<stored::DirectoryAddress>> Find(const Address& address) const;

  // Adds or replaces an address; its domain must be there.
  absl::Status Put(const Address& address, const stored::DirectoryAddress& entry);
  // Without effect if it is not there.
  absl::Status Erase(const Address& address);
  // The mark that `alias` leads to `mailbox`, alone.
  void EraseReverse(uint64_t mailbox, const Address& alias);
  void PutDomain(const std::string& domain, const stored::DirectoryDomain& value);
  void EraseDomain(const std::string& domain);

  // The next UIDVALIDITY, taken. nullopt: all 2^32 - 1 are used up.
  std::optional<uint32_t> TakeUidValidity();

  engine::Verdict Finish() &&;

 private:
  void Set(std::string key, std::optional<std::string> value);
  const std::string* Value(const std::string& key) const;

  const engine::View& view_;
  stored::Head head_;
  std::map<std::string, std::optional<std::string>> changes_;  // nullopt: erased.
};

// kFailedPrecondition, UIDVALIDITY_EXHAUSTED: there is none for `resource`.
absl::Status UidValiditiesExhausted(absl::string_view resource);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_DIRECTORY_EDIT_H_
