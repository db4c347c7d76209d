#include "server/mail/overview.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/mail/quota.h"

namespace restante::mail {
namespace {

constexpr size_t kPage = 1000;

double Share(uint64_t used, uint64_t limit) {
  if (limit >= quota::kUnlimited) return 0;
  if (limit == 0) return 1;
  return static_cast<double>(used) / static_cast<double>(limit);
}

bool Fuller(const MailboxFill& a, const MailboxFill& b) {
  if (a.share != b.share) return a.share > b.share;
  return a.mailbox.number < b.mailbox.number;
}

}  // namespace

Task<absl::StatusOr<Overview>> ReadOverview(Provisioning* provisioning, size_t fullest) {
  Overview out;
  std::string after;
  do {
    CO_ASSIGN_OR_RETURN(Page<DomainView> page, co_await provisioning->ListDomains(after, kPage));
    for (const DomainView& domain : page.items) {
      ++out.domains;
      out.mailboxes += domain.mailboxes;
      out.used_bytes += domain.used_bytes;
      out.used_messages += domain.used_messages;
      out.reserved.bytes += domain.reserved.bytes;
      out.reserved.messages += domain.reserved.messages;
      if (fullest == 0) continue;
      const stored::DomainHead& head = domain.head.domain();
      const uint64_t limit = head.has_max_bytes() && head.max_bytes().kind() == stored::Limit::VALUE
                                 ? head.max_bytes().value()
                                 : quota::kUnlimited;
      const double share = Share(domain.used_bytes, limit);
      if (share > 0) out.fullest_domains.push_back({head.name(), domain.used_bytes, limit, share});
    }
    std::stable_sort(out.fullest_domains.begin(), out.fullest_domains.end(),
                     [](const DomainFill& a, const DomainFill& b) { return a.share > b.share; });
    if (out.fullest_domains.size() > fullest) out.fullest_domains.resize(fullest);
    after = page.next;
  } while (!after.empty());
  if (fullest == 0) co_return std::move(out);

  after.clear();
  do {
    CO_ASSIGN_OR_RETURN(Page<MailboxView> page, co_await provisioning->ListMailboxes("", after, kPage));
    for (MailboxView& mailbox : page.items) {
      const stored::MailboxHead& head = mailbox.head.mailbox();
      const double share = std::max(Share(head.used_bytes(), mailbox.effective_bytes),
                                    Share(head.used_messages(), mailbox.effective_messages));
      if (share > 0) out.fullest.push_back(MailboxFill{std::move(mailbox), share});
    }
    if (out.fullest.size() > fullest) {
      std::partial_sort(out.fullest.begin(), out.fullest.begin() + fullest, out.fullest.end(), Fuller);
      out.fullest.resize(fullest);
    }
    after = page.next;
  } while (!after.empty());
  std::sort(out.fullest.begin(), out.fullest.end(), Fuller);
  co_return std::move(out);
}

}  // namespace restante::mail
