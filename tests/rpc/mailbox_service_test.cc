// Domains, mailboxes and aliases by the API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/rpc/services_fixture.h"

namespace restante {
namespace {

TEST_F(ServicesTest, ADomainLivesItsLife) {
  v1::Domain domain;
  ASSERT_TRUE(CreateDomain("domains/Example.ORG", &domain, [](auto& request) {
                request.mutable_domain()->mutable_default_bytes()->set_kind(v1::Limit::VALUE);
                request.mutable_domain()->mutable_default_bytes()->set_value(307200);
                request.mutable_domain()->set_over_quota(v1::PERMFAIL);
                request.set_request_id(std::string(16, 'r'));
              }).ok());
  EXPECT_EQ(domain.name(), "domains/example.org");
  EXPECT_EQ(domain.default_bytes().value(), 307200u);
  EXPECT_EQ(domain.default_messages().kind(), v1::Limit::INHERIT);
  EXPECT_EQ(domain.max_bytes().kind(), v1::Limit::UNLIMITED);
  EXPECT_EQ(domain.over_quota(), v1::PERMFAIL);
  EXPECT_EQ(domain.create_time().seconds(), 1'700'000'000);
  EXPECT_TRUE(CreateDomain("domains/example.org", nullptr, [](auto& r) {
                r.set_request_id(std::string(16, 'r'));
              }).ok());
  ExpectProblem(CreateDomain("domains/example.org"), StatusCode::ALREADY_EXISTS, "DOMAIN_EXISTS",
                "domains/example.org");

  ASSERT_TRUE(CreateMailbox("mailboxes/rest@example.org").ok());
  v1::UpdateDomainRequest update;
  update.mutable_domain()->set_name("domains/example.org");
  update.mutable_domain()->set_etag(domain.etag());
  update.mutable_domain()->set_catch_all("mailboxes/rest@example.org");
  update.mutable_domain()->set_over_quota(v1::TEMPFAIL);
  update.mutable_update_mask()->add_paths("catch_all");
  v1::Domain changed;
  ASSERT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::UpdateDomain, update, &changed).ok());
  EXPECT_EQ(changed.catch_all(), "mailboxes/rest@example.org");
  EXPECT_EQ(changed.over_quota(), v1::PERMFAIL);  // Not in the mask.
  EXPECT_EQ(changed.mailbox_count(), 1u);
  EXPECT_NE(changed.etag(), domain.etag());
  ExpectProblem(Call(*mailboxes_, &v1::MailboxService::Stub::UpdateDomain, update, &changed),
                StatusCode::ABORTED, "ETAG_MISMATCH", "domains/example.org");
  update.mutable_domain()->clear_etag();
  update.mutable_domain()->set_catch_all("mailboxes/nobody@example.org");
  ExpectProblem(Call(*mailboxes_, &v1::MailboxService::Stub::UpdateDomain, update, &changed),
                StatusCode::NOT_FOUND, "NOT_FOUND", "mailboxes/nobody@example.org");
  update.mutable_update_mask()->clear_paths();
  ExpectInvalid(Call(*mailboxes_, &v1::MailboxService::Stub::UpdateDomain, update, &changed), "update_mask");
  update.mutable_update_mask()->add_paths("usage");
  ExpectInvalid(Call(*mailboxes_, &v1::MailboxService::Stub::UpdateDomain, update, &changed), "update_mask");

  v1::GetDomainRequest get;
  get.set_name("domains/EXAMPLE.org");
  EXPECT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::GetDomain, get, &changed).ok());
  get.set_name("domains/example.net");
  ExpectProblem(Call(*mailboxes_, &v1::MailboxService::Stub::GetDomain, get, &changed), StatusCode::NOT_FOUND,
                "NOT_FOUND", "domains/example.net");

  v1::DeleteDomainRequest erase;
  erase.set_name("domains/example.org");
  google::protobuf::Empty empty;
  ExpectProblem(Call(*mailboxes_, &v1::MailboxService::Stub::DeleteDomain, erase, &empty),
                StatusCode::FAILED_PRECONDITION, "DOMAIN_NOT_EMPTY", "domains/example.org");
  v1::DeleteMailboxRequest erase_mailbox;
  erase_mailbox.set_name("mailboxes/rest@example.org");
  EXPECT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::DeleteMailbox, erase_mailbox, &empty).ok());
  EXPECT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::DeleteDomain, erase, &empty).ok());
  ExpectProblem(Call(*mailboxes_, &v1::MailboxService::Stub::DeleteDomain, erase, &empty),
                StatusCode::NOT_FOUND, "NOT_FOUND", "domains/example.org");
}

TEST_F(ServicesTest, AMailboxLivesItsLife) {
  ASSERT_TRUE(CreateDomain("domains/example.org").ok());
  ExpectProblem(CreateMailbox("mailboxes/alice@example.net"), StatusCode::FAILED_PRECONDITION,
                "DOMAIN_NOT_HOSTED", "mailboxes/alice@example.net");
  v1::Mailbox mailbox;
  ASSERT_TRUE(CreateMailbox("mailboxes/%41lice%40example.org", &mailbox, [](auto& request) {
                request.mutable_mailbox()->mutable_max_bytes()->set_kind(v1::Limit::VALUE);
                request.mutable_mailbox()->mutable_max_bytes()->set_value(uint64_t{1} << 62);
              }).ok());
  EXPECT_EQ(mailbox.name(), "mailboxes/alice@example.org");
  EXPECT_EQ(mailbox.state(), v1::Mailbox::ACTIVE);
  EXPECT_EQ(mailbox.max_bytes().value(), uint64_t{1} << 62);
  EXPECT_EQ(mailbox.max_messages().kind(), v1::Limit::INHERIT);
  EXPECT_EQ(mailbox.effective_max_messages().kind(), v1::Limit::UNLIMITED);
  EXPECT_EQ(mailbox.uid_next(), 1u);
  EXPECT_NE(mailbox.uid_validity(), 0u);
  EXPECT_NE(mailbox.id(), "");
  ExpectProblem(CreateMailbox("mailboxes/alice@example.org"), StatusCode::ALREADY_EXISTS, "ADDRESS_EXISTS",
                "mailboxes/alice@example.org");

  mailbox.mutable_max_bytes()->set_value(0);
  mailbox.set_state(v1::Mailbox::HOLD);
  v1::Mailbox changed;
  ASSERT_TRUE(UpdateMailbox(mailbox, {"max_bytes", "state"}, &changed).ok());
  EXPECT_EQ(changed.effective_max_bytes().kind(), v1::Limit::VALUE);
  EXPECT_EQ(changed.effective_max_bytes().value(), 0u);
  EXPECT_EQ(changed.state(), v1::Mailbox::HOLD);
  ExpectProblem(UpdateMailbox(mailbox, {"state"}, &changed), StatusCode::ABORTED, "ETAG_MISMATCH",
                "mailboxes/alice@example.org");
  ExpectInvalid(UpdateMailbox(mailbox, {}, &changed), "update_mask");
  ExpectInvalid(UpdateMailbox(mailbox, {"*"}, &changed), "update_mask");

  v1::RenameMailboxRequest rename;
  rename.set_name("mailboxes/alice@example.org");
  rename.set_new_name("mailboxes/ann@example.org");
  rename.set_request_id(std::string(16, 'r'));
  v1::Mailbox renamed;
  ASSERT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::RenameMailbox, rename, &renamed).ok());
  EXPECT_EQ(renamed.name(), "mailboxes/ann@example.org");
  EXPECT_EQ(renamed.id(), mailbox.id());
  EXPECT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::RenameMailbox, rename, &renamed).ok());
  ExpectProblem(GetMailbox("mailboxes/alice@example.org", &changed), StatusCode::NOT_FOUND, "NOT_FOUND",
                "mailboxes/alice@example.org");
  rename.set_name("mailboxes/ann@example.org");
  ExpectInvalid(Call(*mailboxes_, &v1::MailboxService::Stub::RenameMailbox, rename, &renamed), "new_name");
}

TEST_F(ServicesTest, AnAliasLivesItsLife) {
  ASSERT_TRUE(CreateDomain("domains/example.org").ok());
  ASSERT_TRUE(CreateMailbox("mailboxes/alice@example.org").ok());
  ASSERT_TRUE(CreateMailbox("mailboxes/bob@example.org").ok());
  v1::Alias alias;
  ASSERT_TRUE(CreateAlias("aliases/info@example.org", "mailboxes/alice@example.org", &alias).ok());
  EXPECT_EQ(alias.name(), "aliases/info@example.org");
  EXPECT_EQ(alias.mailbox(), "mailboxes/alice@example.org");
  ExpectProblem(CreateAlias("aliases/info@example.org", "mailboxes/bob@example.org"),
                StatusCode::ALREADY_EXISTS, "ADDRESS_EXISTS", "aliases/info@example.org");
  ExpectProblem(CreateAlias("aliases/x@example.org", "mailboxes/c@example.org"), StatusCode::NOT_FOUND,
                "NOT_FOUND", "mailboxes/c@example.org");
  ExpectInvalid(CreateAlias("mailboxes/x@example.org", "mailboxes/bob@example.org"), "alias.name");
  ExpectInvalid(CreateAlias("aliases/x@example.org", ""), "alias.mailbox");
  ExpectInvalid(CreateAlias("aliases/x@example.org", "mailboxes/bob@example.org", nullptr, "short"),
                "request_id");

  v1::UpdateAliasRequest update;
  *update.mutable_alias() = alias;
  update.mutable_alias()->set_mailbox("mailboxes/bob@example.org");
  update.mutable_update_mask()->add_paths("mailbox");
  v1::Alias changed;
  ASSERT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::UpdateAlias, update, &changed).ok());
  EXPECT_EQ(changed.mailbox(), "mailboxes/bob@example.org");
  ExpectProblem(Call(*mailboxes_, &v1::MailboxService::Stub::UpdateAlias, update, &changed),
                StatusCode::ABORTED, "ETAG_MISMATCH", "aliases/info@example.org");
  v1::GetAliasRequest get;
  get.set_name("aliases/info@example.org");
  ASSERT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::GetAlias, get, &changed).ok());
  v1::ListAliasesRequest list;
  v1::ListAliasesResponse listed;
  ASSERT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::ListAliases, list, &listed).ok());
  EXPECT_EQ(listed.aliases_size(), 1);
  v1::DeleteAliasRequest erase;
  erase.set_name("aliases/info@example.org");
  google::protobuf::Empty empty;
  EXPECT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::DeleteAlias, erase, &empty).ok());
  ExpectProblem(Call(*mailboxes_, &v1::MailboxService::Stub::DeleteAlias, erase, &empty),
                StatusCode::NOT_FOUND, "NOT_FOUND", "aliases/info@example.org");
}

TEST_F(ServicesTest, MalformedFieldsAreNamed) {
  ASSERT_TRUE(CreateDomain("domains/example.org").ok());
  ExpectInvalid(CreateDomain(""), "domain.name");
  ExpectInvalid(CreateDomain("domains/a..b"), "domain.name");
  ExpectInvalid(CreateDomain("domains/a.b", nullptr, [](auto& r) { r.set_request_id("x"); }), "request_id");
  ExpectInvalid(
      CreateDomain("domains/a.b", nullptr,
                   [](auto& r) { r.mutable_domain()->mutable_max_bytes()->set_kind(v1::Limit::INHERIT); }),
      "domain.max_bytes.kind");
  ExpectInvalid(CreateDomain("domains/a.b", nullptr,
                             [](auto& r) { r.mutable_domain()->mutable_default_bytes()->set_value(5); }),
                "domain.default_bytes.value");
  ExpectInvalid(
      CreateDomain("domains/a.b", nullptr,
                   [](auto& r) { r.mutable_domain()->set_over_quota(static_cast<v1::OverQuotaPolicy>(9)); }),
      "domain.over_quota");
  ExpectInvalid(CreateDomain("domains/a.b", nullptr,
                             [](auto& r) { r.mutable_domain()->set_catch_all("a@example.org"); }),
                "domain.catch_all");
  ExpectInvalid(CreateMailbox("mailboxes/a"), "mailbox.name");
  ExpectInvalid(
      CreateMailbox("mailboxes/a@example.org", nullptr,
                    [](auto& r) {
                      r.mutable_mailbox()->mutable_max_messages()->set_kind(v1::Limit::VALUE);
                      r.mutable_mailbox()->mutable_max_messages()->set_value((uint64_t{1} << 62) + 1);
                    }),
      "mailbox.max_messages.value");
  ExpectInvalid(
      CreateMailbox("mailboxes/a@example.org", nullptr,
                    [](auto& r) {
                      r.mutable_mailbox()->mutable_max_bytes()->set_kind(static_cast<v1::Limit::Kind>(7));
                    }),
      "mailbox.max_bytes.kind");
  ExpectInvalid(
      CreateMailbox("mailboxes/a@example.org", nullptr,
                    [](auto& r) { r.mutable_mailbox()->set_state(static_cast<v1::Mailbox::State>(7)); }),
      "mailbox.state");
  v1::ListMailboxesRequest list;
  v1::ListMailboxesResponse listed;
  list.set_page_size(-1);
  ExpectInvalid(Call(*mailboxes_, &v1::MailboxService::Stub::ListMailboxes, list, &listed), "page_size");
  list.set_page_size(1);
  list.set_page_token("nonsense");
  ExpectInvalid(Call(*mailboxes_, &v1::MailboxService::Stub::ListMailboxes, list, &listed), "page_token");
  list.clear_page_token();
  list.set_domain("example.org");
  ExpectInvalid(Call(*mailboxes_, &v1::MailboxService::Stub::ListMailboxes, list, &listed), "domain");
  v1::ListMessagesRequest messages;
  v1::ListMessagesResponse found;
  messages.set_parent("mailboxes/a@example.org");
  messages.mutable_arrived_before()->set_nanos(-1);
  ExpectInvalid(Call(*stub_, &v1::MessageService::Stub::ListMessages, messages, &found), "arrived_before");
  v1::GetStatusRequest status;
  v1::StoreStatus answer;
  status.set_fullest_count(101);
  ExpectInvalid(Call(*store_, &v1::StoreService::Stub::GetStatus, status, &answer), "fullest_count");
}

TEST_F(ServicesTest, PageTokensContinueTheirOwnListOnly) {
  ASSERT_TRUE(CreateDomain("domains/a.org").ok());
  ASSERT_TRUE(CreateDomain("domains/b.org").ok());
  for (const char* name : {"m1@a.org", "m2@a.org", "m3@a.org", "m4@b.org"}) {
    ASSERT_TRUE(CreateMailbox(std::string("mailboxes/") + name).ok());
  }
  v1::ListMailboxesRequest list;
  list.set_page_size(2);
  v1::ListMailboxesResponse page;
  ASSERT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::ListMailboxes, list, &page).ok());
  ASSERT_EQ(page.mailboxes_size(), 2);
  EXPECT_EQ(page.mailboxes(1).name(), "mailboxes/m2@a.org");
  list.set_page_token(page.next_page_token());
  list.set_domain("domains/a.org");
  ExpectInvalid(Call(*mailboxes_, &v1::MailboxService::Stub::ListMailboxes, list, &page), "page_token");
  v1::ListDomainsRequest domains;
  v1::ListDomainsResponse domain_page;
  domains.set_page_token(list.page_token());
  ExpectInvalid(Call(*mailboxes_, &v1::MailboxService::Stub::ListDomains, domains, &domain_page),
                "page_token");
  list.clear_domain();
  ASSERT_TRUE(CreateMailbox("mailboxes/m0@a.org").ok());  // Before the page: does not move it.
  ASSERT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::ListMailboxes, list, &page).ok());
  ASSERT_EQ(page.mailboxes_size(), 2);
  EXPECT_EQ(page.mailboxes(0).name(), "mailboxes/m3@a.org");
  EXPECT_EQ(page.mailboxes(1).name(), "mailboxes/m4@b.org");
  EXPECT_EQ(page.next_page_token(), "");
  domains.clear_page_token();
  domains.set_page_size(1);
  ASSERT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::ListDomains, domains, &domain_page).ok());
  domains.set_page_token(domain_page.next_page_token());
  ASSERT_TRUE(Call(*mailboxes_, &v1::MailboxService::Stub::ListDomains, domains, &domain_page).ok());
  ASSERT_EQ(domain_page.domains_size(), 1);
  EXPECT_EQ(domain_page.domains(0).name(), "domains/b.org");
}

}  // namespace
}  // namespace restante
