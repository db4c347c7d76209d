#include "client/cli/directory_plan.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "client/cli/values.h"
#include "server/base/status_macros.h"
#include "server/base/utf8.h"

namespace restante::cli {
namespace {

using Kind = DirectoryRow::Kind;
using Action = DirectoryChange::Action;

constexpr int kPage = 1000;

bool Same(const v1::Limit& a, const v1::Limit& b) { return a.kind() == b.kind() && a.value() == b.value(); }

// Sets one field of a resource from a row; `*change` gets its path and what is shown.
class Fields {
 public:
  Fields(const DirectoryRow& row, bool exists) : row_(row), exists_(exists) {}

  void Limit(const char* column, const char* path, bool size, const v1::Limit& is, v1::Limit* shall) {
    const auto given = row_.fields.find(column);
    if (given == row_.fields.end()) return;
    *shall = *ParseLimit(given->second, size);  // Checked when it was read.
    if (!exists_ || !Same(is, *shall)) Changes(column, path, LimitText(is, size), LimitText(*shall, size));
  }
  void Text(const char* column, const char* path, const std::string& is, const std::string& shall) {
    if (!exists_ || is != shall) Changes(column, path, is, shall);
  }
  const std::string* Given(const char* column) const {
    const auto given = row_.fields.find(column);
    return given == row_.fields.end() ? nullptr : &given->second;
  }

  const std::vector<std::string>& paths() const { return paths_; }
  const std::string& shown() const { return shown_; }

 private:
  void Changes(const char* column, const char* path, const std::string& is, const std::string& shall) {
    paths_.emplace_back(path);
    absl::StrAppend(&shown_, " ", column, exists_ ? absl::StrCat(": ", is, " -> ") : "=", shall);
  }

  const DirectoryRow& row_;
  const bool exists_;
  std::vector<std::string> paths_;
  std::string shown_;
};

class Planner {
 public:
  Planner(Client& client, const std::vector<DirectoryRow>& rows) : client_(client), rows_(rows) {}

  absl::StatusOr<DirectoryPlan> Plan(bool disable_missing) {
    RETURN_IF_ERROR(ReadDomains());
    for (const DirectoryRow& row : rows_) {
      ASSIGN_OR_RETURN(const std::string key, KeyOf(row));
      names_[static_cast<size_t>(row.kind)].insert(key);
      const std::string domain = key.substr(key.find('@') + 1);  // All of it if there is no @.
      if (domains_.contains(domain) && read_.insert(domain).second) RETURN_IF_ERROR(ReadDomain(domain));
      if (row.kind == Kind::kDomain) {
        PlanDomain(row, key);
      } else if (row.kind == Kind::kMailbox) {
        PlanMailbox(row, key);
      } else {
        RETURN_IF_ERROR(PlanAlias(row, key));
      }
    }
    for (const auto& [key, mailbox] : mailboxes_) {
      if (mailbox.state() == v1::Mailbox::DISABLED) continue;
      ++plan_.enabled;
      if (!disable_missing || names_[static_cast<size_t>(Kind::kMailbox)].contains(key)) continue;
      ++plan_.disabled;
      DirectoryChange& change = missing_.emplace_back();
      change.action = Action::kDisable;
      change.text = absl::StrCat("- mailbox ", key, " state: ", StateText(mailbox.state()), " -> disabled");
      change.update_mailbox.mutable_mailbox()->set_name(mailbox.name());
      change.update_mailbox.mutable_mailbox()->set_state(v1::Mailbox::DISABLED);
      change.update_mailbox.mutable_update_mask()->add_paths("state");
    }
    std::sort(missing_.begin(), missing_.end(),
              [](const DirectoryChange& a, const DirectoryChange& b) { return a.text < b.text; });
    // A catch-all needs its mailbox, and an alias too.
    for (auto* step : {&domain_changes_, &mailbox_changes_, &alias_changes_, &catch_alls_, &missing_}) {
      if (!step->empty()) plan_.steps.push_back(std::move(*step));
    }
    return std::move(plan_);
  }

 private:
  // What is not ASCII is made canonical by the store alone.
  absl::StatusOr<std::string> KeyOf(const DirectoryRow& row) {
    if (IsAscii(row.name)) return NameKey(row.name);
    absl::StatusOr<std::string> name;
    if (row.kind == Kind::kDomain) {
      v1::GetDomainRequest request;
      request.set_name(DomainName(row.name));
      if (const auto found = client_.GetDomain(request); found.ok())
        return IdOf(found->name());
      else
        name = found.status();
    } else if (row.kind == Kind::kMailbox) {
      v1::GetMailboxRequest request;
      request.set_name(MailboxName(row.name));
      if (const auto found = client_.GetMailbox(request); found.ok())
        return IdOf(found->name());
      else
        name = found.status();
    } else {
      v1::GetAliasRequest request;
      request.set_name(AliasName(row.name));
      if (const auto found = client_.GetAlias(request); found.ok())
        return IdOf(found->name());
      else
        name = found.status();
    }
    // Not there yet; or wrong, which its creation will say.
    if (absl::IsNotFound(name.status()) || absl::IsInvalidArgument(name.status())) return NameKey(row.name);
    return name;
  }

  absl::Status ReadDomains() {
    v1::ListDomainsRequest request;
    request.set_page_size(kPage);
    do {
      ASSIGN_OR_RETURN(v1::ListDomainsResponse page, client_.ListDomains(request));
      for (v1::Domain& domain : *page.mutable_domains())
        domains_.emplace(IdOf(domain.name()), std::move(domain));
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    return absl::OkStatus();
  }

  absl::Status ReadDomain(const std::string& domain) {
    v1::ListMailboxesRequest request;
    request.set_page_size(kPage);
    request.set_domain(DomainName(domain));
    do {
      ASSIGN_OR_RETURN(v1::ListMailboxesResponse page, client_.ListMailboxes(request));
      for (v1::Mailbox& box : *page.mutable_mailboxes()) mailboxes_.emplace(IdOf(box.name()), std::move(box));
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    v1::ListAliasesRequest aliases;
    aliases.set_page_size(kPage);
    aliases.set_domain(DomainName(domain));
    do {
      ASSIGN_OR_RETURN(v1::ListAliasesResponse page, client_.ListAliases(aliases));
      for (v1::Alias& alias : *page.mutable_aliases()) aliases_.emplace(IdOf(alias.name()), std::move(alias));
      aliases.set_page_token(page.next_page_token());
    } while (!aliases.page_token().empty());
    return absl::OkStatus();
  }

  // A change of the row, or null if nothing changes.
  DirectoryChange* Add(std::vector<DirectoryChange>& step, const DirectoryRow& row, bool exists,
                       const Fields& fields) {
    if (exists && fields.paths().empty()) return nullptr;
    DirectoryChange& change = step.emplace_back();
    change.line = row.line;
    change.kind = row.kind;
    change.action = exists ? Action::kUpdate : Action::kCreate;
    change.text = absl::StrCat(exists ? "~ " : "+ ", KindName(row.kind), " ", row.name, fields.shown());
    return &change;
  }

  void PlanDomain(const DirectoryRow& row, const std::string& key) {
    const auto found = domains_.find(key);
    const bool exists = found != domains_.end();
    const v1::Domain is = exists ? found->second : v1::Domain();
    v1::Domain shall;
    shall.set_name(DomainName(row.name));
    Fields fields(row, exists);
    fields.Limit("default_bytes", "default_bytes", true, is.default_bytes(), shall.mutable_default_bytes());
    fields.Limit("default_messages", "default_messages", false, is.default_messages(),
                 shall.mutable_default_messages());
    fields.Limit("max_bytes", "max_bytes", true, is.max_bytes(), shall.mutable_max_bytes());
    if (const std::string* policy = fields.Given("over_quota")) {
      shall.set_over_quota(*ParsePolicy(*policy));
      fields.Text("over_quota", "over_quota", PolicyText(is.over_quota()), PolicyText(shall.over_quota()));
    }
    bool changed = false;
    if (DirectoryChange* change = Add(domain_changes_, row, exists, fields)) {
      changed = true;
      *change->create_domain.mutable_domain() = shall;
      Fill(change->update_domain, shall, fields);
    }
    if (const std::string* mailbox = fields.Given("catch_all")) {
      const std::string now = is.catch_all().empty() ? "none" : IdOf(is.catch_all());
      Fields only(row, /*exists=*/true);
      only.Text("catch_all", "catch_all", now, *mailbox == "none" ? "none" : NameKey(*mailbox));
      if (DirectoryChange* change = Add(catch_alls_, row, /*exists=*/true, only)) {
        changed = true;
        v1::Domain with;
        with.set_name(shall.name());
        if (*mailbox != "none") with.set_catch_all(MailboxName(*mailbox));
        Fill(change->update_domain, with, only);
      }
    }
    if (!changed) ++plan_.unchanged;
  }

  void PlanMailbox(const DirectoryRow& row, const std::string& key) {
    const auto found = mailboxes_.find(key);
    const bool exists = found != mailboxes_.end();
    const v1::Mailbox is = exists ? found->second : v1::Mailbox();
    v1::Mailbox shall;
    shall.set_name(MailboxName(row.name));
    Fields fields(row, exists);
    fields.Limit("bytes", "max_bytes", true, is.max_bytes(), shall.mutable_max_bytes());
    fields.Limit("messages", "max_messages", false, is.max_messages(), shall.mutable_max_messages());
    if (const std::string* state = fields.Given("state")) {
      shall.set_state(*ParseState(*state));
      fields.Text("state", "state", StateText(is.state()), StateText(shall.state()));
    }
    DirectoryChange* change = Add(mailbox_changes_, row, exists, fields);
    if (change == nullptr) {
      ++plan_.unchanged;
      return;
    }
    *change->create_mailbox.mutable_mailbox() = shall;
    Fill(change->update_mailbox, shall, fields);
  }

  absl::Status PlanAlias(const DirectoryRow& row, const std::string& key) {
    const auto found = aliases_.find(key);
    const bool exists = found != aliases_.end();
    DirectoryRow target;
    target.name = *Fields(row, exists).Given("mailbox");
    ASSIGN_OR_RETURN(const std::string mailbox, KeyOf(target));
    Fields fields(row, exists);
    fields.Text("mailbox", "mailbox", exists ? IdOf(found->second.mailbox()) : "", mailbox);
    v1::Alias shall;
    shall.set_name(AliasName(row.name));
    shall.set_mailbox(MailboxName(target.name));
    DirectoryChange* change = Add(alias_changes_, row, exists, fields);
    if (change == nullptr) {
      ++plan_.unchanged;
      return absl::OkStatus();
    }
    *change->create_alias.mutable_alias() = shall;
    Fill(change->update_alias, shall, fields);
    return absl::OkStatus();
  }

  static void Fill(v1::UpdateDomainRequest& request, const v1::Domain& domain, const Fields& fields) {
    *request.mutable_domain() = domain;
    for (const std::string& path : fields.paths()) request.mutable_update_mask()->add_paths(path);
  }
  static void Fill(v1::UpdateMailboxRequest& request, const v1::Mailbox& mailbox, const Fields& fields) {
    *request.mutable_mailbox() = mailbox;
    for (const std::string& path : fields.paths()) request.mutable_update_mask()->add_paths(path);
  }
  static void Fill(v1::UpdateAliasRequest& request, const v1::Alias& alias, const Fields& fields) {
    *request.mutable_alias() = alias;
    for (const std::string& path : fields.paths()) request.mutable_update_mask()->add_paths(path);
  }

  Client& client_;
  const std::vector<DirectoryRow>& rows_;
  DirectoryPlan plan_;
  std::vector<DirectoryChange> domain_changes_, mailbox_changes_, alias_changes_, catch_alls_, missing_;
  // By canonical name; mailboxes and aliases of the domains in read_.
  absl::flat_hash_map<std::string, v1::Domain> domains_;
  absl::flat_hash_map<std::string, v1::Mailbox> mailboxes_;
  absl::flat_hash_map<std::string, v1::Alias> aliases_;
  absl::flat_hash_set<std::string> read_;
  absl::flat_hash_set<std::string> names_[3];  // Of the rows, by kind.
};

}  // namespace

absl::Status DirectoryChange::Make(Client& client) const {
  if (action != Action::kCreate) {
    if (kind == Kind::kDomain) return client.UpdateDomain(update_domain).status();
    if (kind == Kind::kMailbox) return client.UpdateMailbox(update_mailbox).status();
    return client.UpdateAlias(update_alias).status();
  }
  const auto create = [&](auto request, auto method) {
    request.set_request_id(NewRequestId());
    return (client.*method)(request).status();
  };
  if (kind == Kind::kDomain) return create(create_domain, &Client::CreateDomain);
  if (kind == Kind::kMailbox) return create(create_mailbox, &Client::CreateMailbox);
  return create(create_alias, &Client::CreateAlias);
}

absl::StatusOr<DirectoryPlan> PlanDirectory(Client& client, const std::vector<DirectoryRow>& rows,
                                            bool disable_missing) {
  return Planner(client, rows).Plan(disable_missing);
}

}  // namespace restante::cli
