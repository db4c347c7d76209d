#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/directory_edit.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/names.h"
#include "server/mail/provisioning.h"
#include "server/mail/provisioning_internal.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

void Apply(const DomainSettings& settings, stored::DomainHead& head) {
  if (settings.default_bytes) *head.mutable_default_bytes() = *settings.default_bytes;
  if (settings.default_messages) *head.mutable_default_messages() = *settings.default_messages;
  if (settings.max_bytes) *head.mutable_max_bytes() = *settings.max_bytes;
  if (settings.over_quota) head.set_over_quota(*settings.over_quota);
  if (settings.catch_all) head.set_catch_all(*settings.catch_all);
}

absl::Status Exists(const std::string& name) {
  return Error(absl::StatusCode::kAlreadyExists, "DOMAIN_EXISTS", DomainName(name), "is hosted already");
}

absl::Status NotEmpty(const std::string& name, uint64_t addresses) {
  return Error(absl::StatusCode::kFailedPrecondition, "DOMAIN_NOT_EMPTY", DomainName(name),
               absl::StrCat("has ", addresses, " mailboxes and aliases"),
               {{"addresses", absl::StrCat(addresses)}});
}

}  // namespace

Task<absl::Status> Provisioning::CheckCatchAll(std::string address) {
  if (address.empty()) co_return absl::OkStatus();
  CO_ASSIGN_OR_RETURN(Address parsed, ParseAddress(address));
  absl::StatusOr<FoundMailbox> found = co_await FindMailbox(engine_, std::move(parsed));
  co_return found.status();
}

Task<absl::StatusOr<DomainView>> Provisioning::CreateDomain(std::string name, DomainSettings settings,
                                                            std::string request_id) {
  CO_ASSIGN_OR_RETURN(std::optional<uint64_t> existing, co_await DomainNumber(name));
  if (!existing) {
    if (settings.catch_all) CO_RETURN_IF_ERROR(co_await CheckCatchAll(*settings.catch_all));
    const uint64_t number = engine_->NewNumber();
    CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Domain(number), {},
                                       [&](const engine::View&) -> absl::StatusOr<engine::Verdict> {
                                         engine::Change change;
                                         change.head.set_settings_version(1);
                                         change.head.set_create_time_us(clock_->WallMicros());
                                         change.head.set_create_request_id(request_id);
                                         stored::DomainHead& head = *change.head.mutable_domain();
                                         head.set_name(name);
                                         Apply(settings, head);
                                         return change;
                                       }));
    // Between these two steps the domain has no name: the next start removes it.
    std::vector<std::string> keys = {DomainKey(name)};
    CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Directory(), std::move(keys),
                                       [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                         DirectoryEdit edit(view);
                                         ASSIGN_OR_RETURN(auto there, edit.Domain(name));
                                         existing.reset();
                                         if (there) {
                                           existing = there->domain();
                                           return engine::NoChange{};
                                         }
                                         stored::DirectoryDomain entry;
                                         entry.set_domain(number);
                                         edit.PutDomain(name, entry);
                                         return std::move(edit).Finish();
                                       }));
    if (!existing) {
      auto made = co_await ReadDomain(number, name);
      co_return std::move(made);
    }
    CO_RETURN_IF_ERROR(co_await ErasePartition(PartitionId::Domain(number)));
  }
  absl::StatusOr<DomainView> there = co_await ReadDomain(*existing, name);
  if (there.ok() && (request_id.empty() || there->head.create_request_id() != request_id))
    co_return Exists(name);
  co_return std::move(there);
}

Task<absl::StatusOr<DomainView>> Provisioning::GetDomain(std::string name) {
  CO_ASSIGN_OR_RETURN(std::optional<uint64_t> number, co_await DomainNumber(name));
  if (!number) co_return NotFound(DomainName(name));
  auto view = co_await ReadDomain(*number, name);
  co_return std::move(view);
}

Task<absl::StatusOr<Page<DomainView>>> Provisioning::ListDomains(std::string after, size_t limit) {
  const std::string from = after.empty() ? "d/" : DomainKey(after) + '\0';
  CO_ASSIGN_OR_RETURN(engine::ScanPage scan,
                      co_await Scan(engine_, PartitionId::Directory(), from, "d0", limit));
  Page<DomainView> page;
  for (const auto& [key, value] : scan.items) {
    stored::DirectoryDomain entry;
    const std::string name = key.substr(2);
    if (!entry.ParseFromString(value)) {
      co_return absl::DataLossError(absl::StrCat(DomainName(name), ": its directory entry cannot be read"));
    }
    absl::StatusOr<DomainView> view = co_await ReadDomain(entry.domain(), name);
    if (absl::IsNotFound(view.status())) continue;  // Deleted since the scan.
    if (!view.ok()) co_return view.status();
    page.items.push_back(*std::move(view));
  }
  if (scan.more && !scan.items.empty()) page.next = scan.items.back().first.substr(2);
  co_return std::move(page);
}

Task<absl::StatusOr<DomainView>> Provisioning::UpdateDomain(std::string name, DomainSettings settings,
                                                            std::string etag) {
  CO_ASSIGN_OR_RETURN(std::optional<uint64_t> number, co_await DomainNumber(name));
  if (!number) co_return NotFound(DomainName(name));
  if (settings.catch_all) CO_RETURN_IF_ERROR(co_await CheckCatchAll(*settings.catch_all));
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Domain(*number), {},
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       if (view.head == nullptr || view.head->domain().deleted())
                                         return NotFound(DomainName(name));
                                       const std::string current =
                                           EtagOf(*number, view.head->settings_version());
                                       if (!etag.empty() && etag != current)
                                         return EtagMismatch(DomainName(name), current);
                                       engine::Change change;
                                       change.head = *view.head;
                                       change.head.set_settings_version(view.head->settings_version() + 1);
                                       Apply(settings, *change.head.mutable_domain());
                                       return change;
                                     }));
  auto view = co_await ReadDomain(*number, name);
  co_return std::move(view);
}

Task<absl::Status> Provisioning::DeleteDomain(std::string name, std::string etag) {
  const std::string key = DomainKey(name);
  std::vector<std::string> keys = {key};
  CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                      co_await Read(engine_, PartitionId::Directory(), std::move(keys)));
  const auto it = read.values.find(key);
  if (it == read.values.end()) co_return NotFound(DomainName(name));
  stored::DirectoryDomain entry;
  if (!entry.ParseFromString(it->second)) {
    co_return absl::DataLossError(absl::StrCat(DomainName(name), ": its directory entry cannot be read"));
  }
  const uint64_t number = entry.domain();
  // The etag comes first: who holds an old one does not know what is there.
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Domain(number), {},
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       if (view.head == nullptr) return NotFound(DomainName(name));
                                       const std::string current =
                                           EtagOf(number, view.head->settings_version());
                                       if (!etag.empty() && etag != current)
                                         return EtagMismatch(DomainName(name), current);
                                       if (entry.addresses() != 0) return NotEmpty(name, entry.addresses());
                                       engine::Change change;
                                       change.head = *view.head;
                                       change.head.mutable_domain()->set_deleted(true);
                                       return change;
                                     }));
  auto finished = co_await FinishDomainDeletion(number, name);
  co_return std::move(finished);
}

Task<absl::Status> Provisioning::FinishDomainDeletion(uint64_t number, std::string name) {
  uint64_t addresses = 0;
  std::vector<std::string> keys = {DomainKey(name)};
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Directory(), std::move(keys),
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       DirectoryEdit edit(view);
                                       ASSIGN_OR_RETURN(auto there, edit.Domain(name));
                                       addresses = 0;
                                       if (!there || there->domain() != number) return engine::NoChange{};
                                       addresses = there->addresses();
                                       if (addresses != 0) return engine::NoChange{};
                                       edit.EraseDomain(name);
                                       return std::move(edit).Finish();
                                     }));
  if (addresses == 0) {
    auto erased = co_await ErasePartition(PartitionId::Domain(number));
    co_return std::move(erased);
  }
  // Somebody was faster and added an address: the domain stays.
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Domain(number), {},
                                     [](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       if (view.head == nullptr) return engine::NoChange{};
                                       engine::Change change;
                                       change.head = *view.head;
                                       change.head.mutable_domain()->set_deleted(false);
                                       return change;
                                     }));
  co_return NotEmpty(name, addresses);
}

}  // namespace restante::mail
