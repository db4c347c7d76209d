// Where mail for an address goes.
#ifndef RESTANTE_SERVER_MAIL_DIRECTORY_H_
#define RESTANTE_SERVER_MAIL_DIRECTORY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/address.h"
#include "server/mail/engine_calls.h"

namespace restante::mail {

namespace stored = ::restante::stored::v1;

// What an address leads to.
struct Resolution {
  enum class Kind {
    kMailbox,
    // Its domain is hosted here and knows nobody of that name.
    kNoSuchMailbox,
    kForeignDomain,
    // The store hosts no domain, or it is postmaster's and has no destination:
    // temporary, never a bounce.
    kNotConfigured,
    // Not an address; `problem` says why.
    kInvalid,
  };
  Kind kind = Kind::kInvalid;
  // With kMailbox: its partition, its head, and the head of its domain (which
  // need not be the domain of the address).
  uint64_t mailbox = 0;
  stored::MailboxHead head;
  stored::DomainHead domain;
  // Not subject to quota: the address is postmaster's.
  bool exempt = false;
  // Another store may have changed it since: nobody is refused for that before it was
  // resolved again.
  bool recent = false;
  std::string problem;
};

// Any thread. Outlives its calls.
class Directory {
 public:
  struct Options {
    // Each character separates a detail from a local part; empty: none does.
    std::string recipient_delimiter = "+";
    // Gets mail for `postmaster` alone and for postmaster of hosted domains that
    // have none. Canonical address or empty.
    std::string postmaster;
  };
  Directory(engine::Engine* engine, Options options);

  // Finds the mailbox of an address as it was given, in this order: mailbox or
  // alias; the same without detail (cut at the first delimiter that is not the
  // first character); the domain's catch-all; postmaster's destination. An alias
  // or catch-all whose mailbox is gone counts for nothing. With `Age::kRecent` what
  // other stores have changed in the last 5 seconds may be missing; Resolution::recent
  // says so. (The settings of a domain may be as old in any case.)
  //
  // Errors: those of the engine.
  void Resolve(std::string address, Age age, engine::Done<absl::StatusOr<Resolution>> done);

 private:
  Task<absl::StatusOr<Resolution>> ResolveTask(std::string address, Age age) const;
  Task<absl::StatusOr<engine::ReadResult>> ReadAs(Age age, engine::PartitionId partition,
                                                  std::vector<std::string> keys, Resolution& out) const;
  // Fills `out` if the mailbox is alive.
  Task<absl::StatusOr<bool>> Take(uint64_t mailbox, Age age, Resolution& out) const;
  Task<absl::StatusOr<bool>> TakeAddress(Address address, Age age, Resolution& out) const;

  engine::Engine* const engine_;
  const Options options_;
};

// The mailbox of exactly this address, as it is now, and keys of it; aliases are not
// followed.
//
// Errors: kNotFound; those of the engine.
struct FoundMailbox {
  uint64_t number = 0;
  engine::ReadResult read;  // Its head is there and not DELETED.
};
Task<absl::StatusOr<FoundMailbox>> FindMailbox(engine::Engine* engine, Address address,
                                               std::vector<std::string> keys = {});

// Keys of the directory partition (stored.proto, DirectoryHead).
std::string DomainKey(absl::string_view domain);
std::string AddressKey(const Address& address);
// In front of all AddressKeys of a domain, or of all if it is empty.
std::string AddressKeyPrefix(absl::string_view domain);
// Of the aliases that lead to a mailbox.
std::string ReverseKeyPrefix(uint64_t mailbox);
std::string ReverseKey(uint64_t mailbox, const Address& address);
// The address of an AddressKey or ReverseKey.
std::optional<Address> AddressOfKey(absl::string_view key);
// The first key after all keys with the prefix.
std::string PrefixEnd(std::string prefix);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_DIRECTORY_H_
