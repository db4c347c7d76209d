#include "server/mail/directory_edit.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/mail/errors.h"

namespace restante::mail {

DirectoryEdit::DirectoryEdit(const engine::View& view) : view_(view) {
  if (view.head != nullptr) head_ = *view.head;
  head_.mutable_directory();
}

std::vector<std::string> DirectoryEdit::KeysOf(const std::vector<Address>& addresses) {
  std::vector<std::string> keys;
  for (const Address& address : addresses) {
    keys.push_back(AddressKey(address));
    keys.push_back(DomainKey(address.domain));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

const std::string* DirectoryEdit::Value(const std::string& key) const {
  if (const auto changed = changes_.find(key); changed != changes_.end()) {
    return changed->second ? &*changed->second : nullptr;
  }
  const auto it = view_.values.find(key);
  return it == view_.values.end() ? nullptr : &it->second;
}

void DirectoryEdit::Set(std::string key, std::optional<std::string> value) {
  changes_.insert_or_assign(std::move(key), std::move(value));
}

absl::StatusOr<std::optional<stored::DirectoryDomain>> DirectoryEdit::Domain(
    const std::string& domain) const {
  const std::string* value = Value(DomainKey(domain));
  if (value == nullptr) return std::nullopt;
  stored::DirectoryDomain out;
  if (!out.ParseFromString(*value)) {
    return absl::DataLossError(absl::StrCat("directory: the entry of domain ", domain, " cannot be read"));
  }
  return out;
}

absl::StatusOr<std::optional<stored::DirectoryAddress>> DirectoryEdit::Find(const Address& address) const {
  const std::string* value = Value(AddressKey(address));
  if (value == nullptr) return std::nullopt;
  stored::DirectoryAddress out;
  if (!out.ParseFromString(*value)) {
    return absl::DataLossError(
        absl::StrCat("directory: the entry of ", address.ToString(), " cannot be read"));
  }
  return out;
}

absl::Status DirectoryEdit::Put(const Address& address, const stored::DirectoryAddress& entry) {
  RETURN_IF_ERROR(Erase(address));
  ASSIGN_OR_RETURN(std::optional<stored::DirectoryDomain> domain, Domain(address.domain));
  if (!domain) return absl::InternalError(absl::StrCat("directory: no domain for ", address.ToString()));
  domain->set_addresses(domain->addresses() + 1);
  PutDomain(address.domain, *domain);
  Set(AddressKey(address), entry.SerializeAsString());
  if (entry.alias()) Set(ReverseKey(entry.mailbox(), address), "");
  return absl::OkStatus();
}

absl::Status DirectoryEdit::Erase(const Address& address) {
  ASSIGN_OR_RETURN(std::optional<stored::DirectoryAddress> entry, Find(address));
  if (!entry) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::optional<stored::DirectoryDomain> domain, Domain(address.domain));
  if (domain) {
    domain->set_addresses(domain->addresses() - std::min<uint64_t>(domain->addresses(), 1));
    PutDomain(address.domain, *domain);
  }
  Set(AddressKey(address), std::nullopt);
  if (entry->alias()) Set(ReverseKey(entry->mailbox(), address), std::nullopt);
  return absl::OkStatus();
}

void DirectoryEdit::EraseReverse(uint64_t mailbox, const Address& alias) {
  Set(ReverseKey(mailbox, alias), std::nullopt);
}

void DirectoryEdit::PutDomain(const std::string& domain, const stored::DirectoryDomain& value) {
  Set(DomainKey(domain), value.SerializeAsString());
}

void DirectoryEdit::EraseDomain(const std::string& domain) { Set(DomainKey(domain), std::nullopt); }

std::optional<uint32_t> DirectoryEdit::TakeUidValidity() {
  stored::DirectoryHead& directory = *head_.mutable_directory();
  const uint32_t taken = std::max<uint32_t>(directory.uid_validity_next(), 1);
  if (taken == UINT32_MAX) return std::nullopt;
  directory.set_uid_validity_next(taken + 1);
  return taken;
}

absl::Status UidValiditiesExhausted(absl::string_view resource) {
  return Error(absl::StatusCode::kFailedPrecondition, "UIDVALIDITY_EXHAUSTED", resource,
               "the store has given all of its 4294967294 UIDVALIDITYs");
}

engine::Verdict DirectoryEdit::Finish() && {
  engine::Change change;
  change.head = std::move(head_);
  for (auto& [key, value] : changes_) {
    if (value) {
      change.puts.emplace_back(key, *std::move(value));
    } else {
      change.erased.push_back(key);
    }
  }
  return change;
}

}  // namespace restante::mail
