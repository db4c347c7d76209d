#include "server/mail/directory.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/names.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

constexpr absl::string_view kPostmaster = "postmaster";

// The mailbox that a directory value names.
absl::StatusOr<uint64_t> MailboxOf(const std::string& value) {
  stored::DirectoryAddress entry;
  if (!entry.ParseFromString(value)) return absl::DataLossError("directory: an entry cannot be read");
  return entry.mailbox();
}

}  // namespace

std::string DomainKey(absl::string_view domain) { return absl::StrCat("d/", domain); }

std::string AddressKey(const Address& address) {
  return absl::StrCat("a/", address.domain, "/", address.local);
}

std::string AddressKeyPrefix(absl::string_view domain) {
  return domain.empty() ? "a/" : absl::StrCat("a/", domain, "/");
}

std::string ReverseKeyPrefix(uint64_t mailbox) {
  return absl::StrCat("r/", absl::Hex(mailbox, absl::kZeroPad16), "/");
}

std::string ReverseKey(uint64_t mailbox, const Address& address) {
  return absl::StrCat(ReverseKeyPrefix(mailbox), address.domain, "/", address.local);
}

std::optional<Address> AddressOfKey(absl::string_view key) {
  if (absl::StartsWith(key, "r/")) {
    const size_t slash = key.find('/', 2);
    if (slash == key.npos) return std::nullopt;
    key.remove_prefix(slash + 1);
  } else if (absl::StartsWith(key, "a/")) {
    key.remove_prefix(2);
  } else {
    return std::nullopt;
  }
  const size_t slash = key.find('/');
  if (slash == key.npos) return std::nullopt;
  return Address{.local = std::string(key.substr(slash + 1)), .domain = std::string(key.substr(0, slash))};
}

std::string PrefixEnd(std::string prefix) {
  ++prefix.back();
  return prefix;
}

Directory::Directory(engine::Engine* engine, Options options)
    : engine_(engine), options_(std::move(options)) {}

void Directory::Resolve(std::string address, Age age, engine::Done<absl::StatusOr<Resolution>> done) {
  Start(ResolveTask(std::move(address), age), std::move(done));
}

Task<absl::StatusOr<engine::ReadResult>> Directory::ReadAs(Age age, PartitionId partition,
                                                           std::vector<std::string> keys,
                                                           Resolution& out) const {
  absl::StatusOr<engine::ReadResult> read = co_await Read(engine_, partition, std::move(keys), age);
  if (read.ok()) out.recent |= read->recent;
  co_return read;
}

Task<absl::StatusOr<bool>> Directory::Take(uint64_t mailbox, Age age, Resolution& out) const {
  CO_ASSIGN_OR_RETURN(engine::ReadResult read, co_await ReadAs(age, PartitionId::Mailbox(mailbox), {}, out));
  if (!read.head || read.head->mailbox().state() == stored::MailboxHead::DELETED) co_return false;
  const uint64_t domain_number = read.head->mailbox().domain();
  CO_ASSIGN_OR_RETURN(engine::ReadResult domain,
                      co_await ReadAs(Age::kRecent, PartitionId::Domain(domain_number), {}, out));
  if (!domain.head) co_return false;
  out.kind = Resolution::Kind::kMailbox;
  out.mailbox = mailbox;
  out.head = std::move(*read.head->mutable_mailbox());
  out.domain = std::move(*domain.head->mutable_domain());
  co_return true;
}

Task<absl::StatusOr<bool>> Directory::TakeAddress(Address address, Age age, Resolution& out) const {
  const std::string key = AddressKey(address);
  std::vector<std::string> keys = {key};
  CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                      co_await ReadAs(age, PartitionId::Directory(), std::move(keys), out));
  const auto it = read.values.find(key);
  if (it == read.values.end()) co_return false;
  CO_ASSIGN_OR_RETURN(const uint64_t mailbox, MailboxOf(it->second));
  auto taken = co_await Take(mailbox, age, out);
  co_return std::move(taken);
}

Task<absl::StatusOr<Resolution>> Directory::ResolveTask(std::string text, Age age) const {
  Resolution out;
  Address address;
  const bool lone_postmaster = absl::EqualsIgnoreCase(text, kPostmaster);
  if (!lone_postmaster) {
    absl::StatusOr<Address> parsed = ParseAddress(text);
    if (!parsed.ok()) {
      out.problem = std::string(parsed.status().message());
      co_return std::move(out);
    }
    address = *std::move(parsed);
  }
  if (!engine_->HasDomains()) {
    out.kind = Resolution::Kind::kNotConfigured;
    co_return std::move(out);
  }
  out.exempt = lone_postmaster || address.local == kPostmaster;

  if (!lone_postmaster) {
    const std::string domain_key = DomainKey(address.domain);
    std::vector<std::string> candidates = {AddressKey(address)};
    const size_t cut = options_.recipient_delimiter.empty()
                           ? std::string::npos
                           : address.local.find_first_of(options_.recipient_delimiter, 1);
    if (cut != std::string::npos) {
      candidates.push_back(AddressKey(Address{address.local.substr(0, cut), address.domain}));
    }
    std::vector<std::string> keys = candidates;
    keys.push_back(domain_key);
    CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                        co_await ReadAs(age, PartitionId::Directory(), std::move(keys), out));

    const auto domain_value = read.values.find(domain_key);
    if (domain_value == read.values.end()) {
      // A partition without a name is not a domain yet, or no more: while there
      // is none with a name, mail is not bounced.
      CO_ASSIGN_OR_RETURN(engine::ScanPage any,
                          co_await Scan(engine_, PartitionId::Directory(), "d/", "d0", 1));
      out.kind = any.items.empty() ? Resolution::Kind::kNotConfigured : Resolution::Kind::kForeignDomain;
      out.exempt = false;
      co_return std::move(out);
    }
    for (const std::string& candidate : candidates) {
      const auto it = read.values.find(candidate);
      if (it == read.values.end()) continue;
      CO_ASSIGN_OR_RETURN(const uint64_t mailbox, MailboxOf(it->second));
      CO_ASSIGN_OR_RETURN(const bool taken, co_await Take(mailbox, age, out));
      if (taken) co_return std::move(out);
    }

    stored::DirectoryDomain domain;
    if (!domain.ParseFromString(domain_value->second)) {
      co_return absl::DataLossError(absl::StrCat(DomainName(address.domain), ": its entry cannot be read"));
    }
    CO_ASSIGN_OR_RETURN(engine::ReadResult head,
                        co_await ReadAs(Age::kRecent, PartitionId::Domain(domain.domain()), {}, out));
    if (head.head && !head.head->domain().catch_all().empty()) {
      CO_ASSIGN_OR_RETURN(Address catch_all, ParseAddress(head.head->domain().catch_all()));
      CO_ASSIGN_OR_RETURN(const bool taken, co_await TakeAddress(std::move(catch_all), age, out));
      if (taken) co_return std::move(out);
    }
    if (!out.exempt) {
      out.kind = Resolution::Kind::kNoSuchMailbox;
      co_return std::move(out);
    }
  }

  out.kind = Resolution::Kind::kNotConfigured;
  if (!options_.postmaster.empty()) {
    CO_ASSIGN_OR_RETURN(Address postmaster, ParseAddress(options_.postmaster));
    CO_ASSIGN_OR_RETURN(const bool taken, co_await TakeAddress(std::move(postmaster), age, out));
    (void)taken;  // Without it: still not configured.
  }
  co_return std::move(out);
}

Task<absl::StatusOr<FoundMailbox>> FindMailbox(engine::Engine* engine, Address address,
                                               std::vector<std::string> keys) {
  const std::string key = AddressKey(address);
  Age age = Age::kRecent;
  while (true) {
    std::vector<std::string> names = {key};
    CO_ASSIGN_OR_RETURN(const engine::ReadResult read,
                        co_await Read(engine, PartitionId::Directory(), std::move(names), age));
    const auto it = read.values.find(key);
    if (it == read.values.end()) co_return NotFound(MailboxName(address));
    stored::DirectoryAddress entry;
    if (!entry.ParseFromString(it->second)) {
      co_return absl::DataLossError(
          absl::StrCat(MailboxName(address), ": its directory entry cannot be read"));
    }
    FoundMailbox found;
    bool alive = !entry.alias();
    if (alive) {
      found.number = entry.mailbox();
      CO_ASSIGN_OR_RETURN(found.read, co_await Read(engine, PartitionId::Mailbox(found.number), keys));
      alive = found.read.head && found.read.head->mailbox().state() != stored::MailboxHead::DELETED;
    }
    // Where the entry may be a former one, it has to lead to who has the address still.
    const bool doubtful =
        read.recent && (!alive || found.read.head->mailbox().address() != address.ToString());
    if (!doubtful && !alive) co_return NotFound(MailboxName(address));
    if (!doubtful) co_return std::move(found);
    age = Age::kNow;
  }
}

}  // namespace restante::mail
