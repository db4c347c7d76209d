// Domains, mailboxes and aliases of a client: made, changed, renamed, deleted,
// whether they are there or not.
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/model/client.h"
#include "tests/model/describe.h"

namespace restante::model {

using mail::Address;
using mail::stored::Limit;

namespace {

std::optional<Limit> RandomLimit(Dice& dice, const std::vector<uint64_t>& values) {
  if (dice.OneIn(3)) return std::nullopt;
  Limit limit;
  switch (dice.Below(6)) {
    case 0:
      break;  // Inherit.
    case 1:
      limit.set_kind(Limit::UNLIMITED);
      break;
    default:
      limit.set_kind(Limit::VALUE);
      limit.set_value(dice.Pick(values));
  }
  return limit;
}

const std::vector<uint64_t> kBytes = {0, 300, 3'000, 10'000, 30'000, 100'000, 1'000'000};
const std::vector<uint64_t> kMessages = {0, 1, 5, 20, 100};
const std::vector<uint64_t> kPools = {5'000, 50'000, 200'000, 2'000'000};

// Which etag is given.
enum class Etag { kNone, kCurrent, kOther };

Etag RandomEtag(Dice& dice) {
  if (dice.OneIn(10)) return Etag::kOther;
  return dice.OneIn(2) ? Etag::kNone : Etag::kCurrent;
}

template <typename View>
std::string EtagFor(Etag which, const absl::StatusOr<View>& view) {
  if (which == Etag::kOther) return "1-0";
  return which == Etag::kCurrent && view.ok() ? view->etag : "";
}

}  // namespace

mail::DomainSettings Client::RandomDomainSettings() {
  mail::DomainSettings settings;
  settings.default_bytes = RandomLimit(dice_, kBytes);
  settings.default_messages = RandomLimit(dice_, kMessages);
  settings.max_bytes = RandomLimit(dice_, kPools);
  if (dice_.OneIn(2)) settings.over_quota = dice_.Below(2);
  if (dice_.OneIn(4)) settings.catch_all = dice_.OneIn(2) ? "" : RandomMailbox().ToString();
  return settings;
}

mail::MailboxSettings Client::RandomMailboxSettings() {
  mail::MailboxSettings settings;
  settings.max_bytes = RandomLimit(dice_, kBytes);
  settings.max_messages = RandomLimit(dice_, kMessages);
  if (dice_.OneIn(2)) {
    settings.state = !dice_.OneIn(4) ? mail::stored::MailboxHead::ACTIVE
                                     : static_cast<mail::stored::MailboxHead::State>(dice_.Below(3));
  }
  return settings;
}

void Client::CreateDomain() {
  const std::string name = RandomDomain(), id = dice_.OneIn(2) ? "" : NewRequestId();
  const mail::DomainSettings settings = RandomDomainSettings();
  Both(absl::StrCat("CreateDomain ", name),
       [&](World& world) { return Describe(Get(world.provisioning().CreateDomain(name, settings, id))); });
}

void Client::CreateMailbox() {
  const Address address = RandomMailbox();
  const std::string id = dice_.OneIn(2) ? "" : NewRequestId();
  const mail::MailboxSettings settings = RandomMailboxSettings();
  Both(absl::StrCat("CreateMailbox ", address.ToString()), [&](World& world) {
    return Describe(Get(world.provisioning().CreateMailbox(address, settings, id)));
  });
}

void Client::ChangeDomain() {
  const std::string name = RandomDomain();
  const Etag etag = RandomEtag(dice_);
  if (dice_.OneIn(6)) {
    Both(absl::StrCat("DeleteDomain ", name), [&](World& world) {
      const std::string given = EtagFor(etag, Get(world.provisioning().GetDomain(name)));
      return Describe(Get(world.provisioning().DeleteDomain(name, given)));
    });
    return;
  }
  const mail::DomainSettings settings = RandomDomainSettings();
  Both(absl::StrCat("UpdateDomain ", name), [&](World& world) {
    const std::string given = EtagFor(etag, Get(world.provisioning().GetDomain(name)));
    return Describe(Get(world.provisioning().UpdateDomain(name, settings, given)));
  });
}

void Client::ChangeMailbox() {
  const Address address = RandomMailbox();
  const Etag etag = RandomEtag(dice_);
  const uint64_t choice = dice_.Below(8);
  if (choice == 0) {
    const bool with_mail = !dice_.OneIn(3);
    Both(absl::StrCat("DeleteMailbox ", address.ToString(), with_mail ? " with its mail" : ""),
         [&](World& world) {
           const std::string given = EtagFor(etag, Get(world.provisioning().GetMailbox(address)));
           return Describe(Get(world.provisioning().DeleteMailbox(address, given, with_mail)));
         });
  } else if (choice == 1) {
    const Address to = RandomMailbox();
    const std::string id = dice_.OneIn(2) ? "" : NewRequestId();
    exempt_ = true;  // From the other domain's pool.
    Both(absl::StrCat("RenameMailbox ", address.ToString(), " to ", to.ToString()), [&](World& world) {
      const std::string given = EtagFor(etag, Get(world.provisioning().GetMailbox(address)));
      return Describe(Get(world.provisioning().RenameMailbox(address, to, id, given)));
    });
  } else {
    const mail::MailboxSettings settings = RandomMailboxSettings();
    Both(absl::StrCat("UpdateMailbox ", address.ToString()), [&](World& world) {
      const std::string given = EtagFor(etag, Get(world.provisioning().GetMailbox(address)));
      return Describe(Get(world.provisioning().UpdateMailbox(address, settings, given)));
    });
  }
}

void Client::ChangeAlias() {
  const Address alias = RandomAlias(), mailbox = RandomMailbox();
  const std::string id = dice_.OneIn(2) ? "" : NewRequestId();
  const Etag etag = RandomEtag(dice_);
  const uint64_t choice = dice_.Below(6);
  Both(absl::StrCat(choice < 3   ? "CreateAlias "
                    : choice < 5 ? "UpdateAlias "
                                 : "DeleteAlias ",
                    alias.ToString(), " to ", mailbox.ToString()),
       [&](World& world) {
         if (choice < 3) return Describe(Get(world.provisioning().CreateAlias(alias, mailbox, id)));
         const std::string given = EtagFor(etag, Get(world.provisioning().GetAlias(alias)));
         if (choice < 5) return Describe(Get(world.provisioning().UpdateAlias(alias, mailbox, given)));
         return Describe(Get(world.provisioning().DeleteAlias(alias, given)));
       });
}

void Client::ListNames() {
  const std::string domain = RandomDomain();
  const size_t limit = 1 + dice_.Below(4);
  const bool aliases = dice_.OneIn(2);
  Both(absl::StrCat("listing ", domain), [&](World& world) {
    std::string all, after;
    do {
      if (aliases) {
        const auto page = Get(world.provisioning().ListAliases(domain, after, limit));
        absl::StrAppend(&all, Describe(page), "\n");
        after = page.ok() ? page->next : "";
      } else {
        const auto page = Get(world.provisioning().ListMailboxes(domain, after, limit));
        absl::StrAppend(&all, Describe(page), "\n");
        after = page.ok() ? page->next : "";
      }
    } while (!after.empty());
    return all;
  });
}

}  // namespace restante::model
