// MailboxService, MessageService and StoreService through real stubs, over an
// in-process channel and the memory engine.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "restante/v1/error.pb.h"
#include "restante/v1/mailbox.grpc.pb.h"
#include "restante/v1/message.grpc.pb.h"
#include "restante/v1/store.grpc.pb.h"
#include "server/base/fake_clock.h"
#include "server/engine/memory/memory_engine.h"
#include "server/mail/deliveries.h"
#include "server/mail/directory.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"
#include "server/rpc/mailbox_service.h"
#include "server/rpc/message_service.h"
#include "server/rpc/store_service.h"
#include "tests/mail/fixture.h"

namespace restante {
namespace {

using grpc::StatusCode;

constexpr uint64_t kMaxMessage = 2 << 20;

// The code, the reason, the resource and the field of an error.
struct Problem {
  StatusCode code;
  std::string reason, resource, field;
  std::map<std::string, std::string> metadata;
};

Problem ProblemOf(const grpc::Status& status) {
  Problem out{status.error_code(), "", "", "", {}};
  if (status.ok()) return out;
  v1::ErrorStatus details;
  EXPECT_TRUE(details.ParseFromString(status.error_details())) << status.error_message();
  EXPECT_EQ(details.code(), status.error_code());
  EXPECT_EQ(details.message(), status.error_message());
  for (const google::protobuf::Any& any : details.details()) {
    if (any.type_url() == "type.googleapis.com/google.rpc.ErrorInfo") {
      v1::ErrorInfo info;
      EXPECT_TRUE(info.ParseFromString(any.value()));
      EXPECT_EQ(info.domain(), "restante");
      out.reason = info.reason();
      out.metadata = {info.metadata().begin(), info.metadata().end()};
      out.resource = out.metadata["resource"];
    } else if (any.type_url() == "type.googleapis.com/google.rpc.BadRequest") {
      v1::BadRequest bad;
      EXPECT_TRUE(bad.ParseFromString(any.value()));
      EXPECT_EQ(bad.field_violations_size(), 1);
      out.field = bad.field_violations(0).field();
    }
  }
  EXPECT_NE(out.reason, "") << status.error_message();
  return out;
}

void ExpectInvalid(const grpc::Status& status, const std::string& field) {
  const Problem problem = ProblemOf(status);
  EXPECT_EQ(problem.code, StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_EQ(problem.field, field) << status.error_message();
}

void ExpectProblem(const grpc::Status& status, StatusCode code, const std::string& reason,
                   const std::string& resource) {
  const Problem problem = ProblemOf(status);
  EXPECT_EQ(problem.code, code) << status.error_message();
  EXPECT_EQ(problem.reason, reason) << status.error_message();
  EXPECT_EQ(problem.resource, resource) << status.error_message();
}

class ServicesTest : public testing::Test {
 protected:
  ServicesTest() {
    engine::MemoryOptions options;
    options.clock = &clock_;
    engine_ = engine::NewMemoryEngine(std::move(options));
    directory_ = std::make_unique<mail::Directory>(engine_.get(), mail::Directory::Options());
    deliveries_ =
        std::make_unique<mail::Deliveries>(engine_.get(), directory_.get(), mail::DeliveryOptions(), &clock_);
    provisioning_ = std::make_unique<mail::Provisioning>(engine_.get(), engine::QuotaRules(), &clock_);
    messages_ = std::make_unique<mail::Messages>(engine_.get(), kMaxMessage, &clock_);
    mailbox_service_ = std::make_unique<rpc::MailboxService>(provisioning_.get(), messages_.get());
    message_service_ = std::make_unique<rpc::MessageService>(messages_.get());
    store_service_ = std::make_unique<rpc::StoreService>(engine_.get(), provisioning_.get(), messages_.get(),
                                                         deliveries_.get());
    grpc::ServerBuilder builder;
    builder.RegisterService(mailbox_service_.get());
    builder.RegisterService(message_service_.get());
    builder.RegisterService(store_service_.get());
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel(grpc::ChannelArguments());
    mailboxes_ = v1::MailboxService::NewStub(channel_);
    stub_ = v1::MessageService::NewStub(channel_);
    store_ = v1::StoreService::NewStub(channel_);
  }
  ~ServicesTest() override { server_->Shutdown(); }

  template <typename Request, typename Response, typename Stub>
  grpc::Status Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return (stub.*method)(&context, request, response);
  }

  grpc::Status CreateDomain(const std::string& name, v1::Domain* out = nullptr,
                            std::function<void(v1::CreateDomainRequest&)> with = nullptr) {
    v1::CreateDomainRequest request;
    request.mutable_domain()->set_name(name);
    if (with) with(request);
    v1::Domain response;
    grpc::ClientContext context;
    return mailboxes_->CreateDomain(&context, request, out ? out : &response);
  }
  grpc::Status CreateMailbox(const std::string& name, v1::Mailbox* out = nullptr,
                             std::function<void(v1::CreateMailboxRequest&)> with = nullptr) {
    v1::CreateMailboxRequest request;
    request.mutable_mailbox()->set_name(name);
    if (with) with(request);
    v1::Mailbox response;
    grpc::ClientContext context;
    return mailboxes_->CreateMailbox(&context, request, out ? out : &response);
  }
  grpc::Status CreateAlias(const std::string& name, const std::string& mailbox, v1::Alias* out = nullptr,
                           std::string id = "") {
    v1::CreateAliasRequest request;
    request.mutable_alias()->set_name(name);
    request.mutable_alias()->set_mailbox(mailbox);
    request.set_request_id(std::move(id));
    v1::Alias response;
    grpc::ClientContext context;
    return mailboxes_->CreateAlias(&context, request, out ? out : &response);
  }
  grpc::Status GetMailbox(const std::string& name, v1::Mailbox* out) {
    v1::GetMailboxRequest request;
    request.set_name(name);
    grpc::ClientContext context;
    return mailboxes_->GetMailbox(&context, request, out);
  }
  grpc::Status UpdateMailbox(v1::Mailbox mailbox, std::vector<std::string> paths, v1::Mailbox* out) {
    v1::UpdateMailboxRequest request;
    *request.mutable_mailbox() = std::move(mailbox);
    for (std::string& path : paths) request.mutable_update_mask()->add_paths(std::move(path));
    grpc::ClientContext context;
    return mailboxes_->UpdateMailbox(&context, request, out);
  }
  // Sends a header and the text in pieces of 100,000 octets.
  grpc::Status Append(const std::string& parent, const std::string& text, v1::Message* out,
                      std::function<void(v1::AppendMessageRequest::Header&)> with = nullptr) {
    grpc::ClientContext context;
    auto writer = stub_->AppendMessage(&context, out);
    v1::AppendMessageRequest request;
    request.mutable_header()->set_parent(parent);
    request.mutable_header()->set_size_bytes(text.size());
    if (with) with(*request.mutable_header());
    bool ok = writer->Write(request);
    for (size_t at = 0; ok && at < text.size(); at += 100'000) {
      request.set_chunk(text.substr(at, 100'000));
      ok = writer->Write(request);
    }
    writer->WritesDone();
    return writer->Finish();
  }
  grpc::Status Read(const std::string& name, uint64_t offset, uint64_t length, std::string* text) {
    v1::ReadMessageRequest request;
    request.set_name(name);
    request.set_offset(offset);
    request.set_length(length);
    grpc::ClientContext context;
    auto reader = stub_->ReadMessage(&context, request);
    v1::ReadMessageResponse response;
    text->clear();
    while (reader->Read(&response)) {
      EXPECT_LE(response.chunk().size(), 256u * 1024);
      *text += response.chunk();
    }
    return reader->Finish();
  }

  FakeClock clock_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<mail::Directory> directory_;
  std::unique_ptr<mail::Deliveries> deliveries_;
  std::unique_ptr<mail::Provisioning> provisioning_;
  std::unique_ptr<mail::Messages> messages_;
  std::unique_ptr<rpc::MailboxService> mailbox_service_;
  std::unique_ptr<rpc::MessageService> message_service_;
  std::unique_ptr<rpc::StoreService> store_service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::MailboxService::Stub> mailboxes_;
  std::unique_ptr<v1::MessageService::Stub> stub_;
  std::unique_ptr<v1::StoreService::Stub> store_;
};

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

class MessageServiceTest : public ServicesTest {
 protected:
  MessageServiceTest() {
    EXPECT_TRUE(CreateDomain("domains/example.org").ok());
    EXPECT_TRUE(CreateMailbox("mailboxes/alice@example.org").ok());
  }
  const std::string alice_ = "mailboxes/alice@example.org";
};

TEST_F(MessageServiceTest, AMessageGoesInAndComesOutInChunksAndRanges) {
  std::string text(1'000'000, ' ');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * 31 % 26);
  v1::Message message;
  ASSERT_TRUE(Append(alice_, text, &message, [](auto& header) {
                header.mutable_arrival_time()->set_seconds(1234);
              }).ok());
  EXPECT_EQ(message.name(), alice_ + "/folders/INBOX/messages/1");
  EXPECT_EQ(message.size_bytes(), text.size());
  EXPECT_EQ(message.arrival_time().seconds(), 1234);
  EXPECT_EQ(message.recipient(), "alice@example.org");
  EXPECT_EQ(message.transaction_id().size(), 32u);
  v1::GetMessageRequest get;
  get.set_name(message.name());
  v1::Message got;
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::GetMessage, get, &got).ok());
  EXPECT_EQ(got.SerializeAsString(), message.SerializeAsString());

  std::string read;
  ASSERT_TRUE(Read(message.name(), 0, 0, &read).ok());
  EXPECT_TRUE(read == text);
  ASSERT_TRUE(Read(message.name(), 262'143, 3, &read).ok());
  EXPECT_EQ(read, text.substr(262'143, 3));
  ASSERT_TRUE(Read(message.name(), 999'990, UINT64_MAX, &read).ok());
  EXPECT_EQ(read, text.substr(999'990));
  ASSERT_TRUE(Read(message.name(), 1'000'000, 0, &read).ok());
  EXPECT_EQ(read, "");
  ExpectProblem(Read(message.name(), 1'000'001, 0, &read), StatusCode::OUT_OF_RANGE, "OUT_OF_RANGE",
                message.name());
  ExpectProblem(Read(alice_ + "/folders/INBOX/messages/2", 0, 0, &read), StatusCode::NOT_FOUND, "NOT_FOUND",
                alice_ + "/folders/INBOX/messages/2");
  ExpectInvalid(Read(alice_, 0, 0, &read), "name");
}

TEST_F(MessageServiceTest, AReaderThatGoesAwayEndsTheReading) {
  v1::Message message;
  ASSERT_TRUE(Append(alice_, std::string(2'000'000, 'x'), &message).ok());
  v1::ReadMessageRequest request;
  request.set_name(message.name());
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    auto reader = stub_->ReadMessage(&context, request);
    v1::ReadMessageResponse response;
    ASSERT_TRUE(reader->Read(&response));
    context.TryCancel();
    while (reader->Read(&response)) {
    }
    EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);
  }
}

TEST_F(MessageServiceTest, AnAppendWithoutRoomExplainsItself) {
  v1::Mailbox mailbox;
  ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  mailbox.mutable_max_bytes()->set_kind(v1::Limit::VALUE);
  mailbox.mutable_max_bytes()->set_value(307200);
  ASSERT_TRUE(UpdateMailbox(mailbox, {"max_bytes"}, &mailbox).ok());
  v1::Message message;
  ASSERT_TRUE(Append(alice_, std::string(306176, 'x'), &message).ok());
  const grpc::Status status = Append(alice_, std::string(20480, 'x'), &message);
  EXPECT_EQ(status.error_message(), "mailboxes/alice@example.org: needs 20480 octets, 1024 left of 307200");
  Problem problem = ProblemOf(status);
  EXPECT_EQ(problem.code, StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(problem.reason, "MAILBOX_FULL");
  EXPECT_EQ(problem.metadata["outcome"], "OUTCOME_MAILBOX_FULL");
  EXPECT_EQ(problem.metadata["scope"], "MAILBOX");
  EXPECT_EQ(problem.metadata["limit"], "307200");
  EXPECT_EQ(problem.metadata["used"], "306176");
  EXPECT_EQ(problem.metadata["reserved"], "0");
  EXPECT_EQ(problem.metadata["needed"], "20480");
  problem = ProblemOf(Append(alice_, std::string(kMaxMessage + 1, 'x'), &message));
  EXPECT_EQ(problem.metadata["outcome"], "OUTCOME_MESSAGE_TOO_LARGE");
  mailbox.clear_etag();
  mailbox.set_state(v1::Mailbox::HOLD);
  ASSERT_TRUE(UpdateMailbox(mailbox, {"state"}, &mailbox).ok());
  EXPECT_EQ(ProblemOf(Append(alice_, "x", &message)).metadata["outcome"], "OUTCOME_MAILBOX_ON_HOLD");
  EXPECT_EQ(engine_->Figures()["open_transactions"], 0u);
}

TEST_F(MessageServiceTest, AnAppendThatIsWrongStoresNothing) {
  v1::Message message;
  ExpectInvalid(Append("mailboxes/", "x", &message), "header.parent");
  ExpectInvalid(Append(alice_, "", &message), "header.size_bytes");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.set_request_id("x"); }), "header.request_id");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.set_size_bytes(2); }), "header.size_bytes");
  ExpectInvalid(Append(alice_, "xxx", &message, [](auto& h) { h.set_size_bytes(2); }), "chunk");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.set_crc32c(1); }), "header.crc32c");
  ExpectProblem(Append(alice_ + "/folders/Sent", "x", &message), StatusCode::NOT_FOUND, "NOT_FOUND",
                alice_ + "/folders/Sent");
  {
    grpc::ClientContext context;
    auto writer = stub_->AppendMessage(&context, &message);
    writer->WritesDone();
    ExpectInvalid(writer->Finish(), "header");
  }
  {
    grpc::ClientContext context;
    auto writer = stub_->AppendMessage(&context, &message);
    v1::AppendMessageRequest request;
    request.set_chunk("x");
    writer->Write(request);
    ExpectInvalid(writer->Finish(), "header");
  }
  {
    grpc::ClientContext context;
    auto writer = stub_->AppendMessage(&context, &message);
    v1::AppendMessageRequest request;
    request.mutable_header()->set_parent(alice_);
    request.mutable_header()->set_size_bytes(5);
    ASSERT_TRUE(writer->Write(request));
    writer->Write(request);
    ExpectInvalid(writer->Finish(), "chunk");
  }
  v1::Mailbox mailbox;
  ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  EXPECT_EQ(mailbox.usage().messages(), 0u);
  EXPECT_EQ(mailbox.usage().reserved_bytes(), 0u);
}

TEST_F(MessageServiceTest, ACancelledAppendGivesItsRoomBack) {
  grpc::ClientContext context;
  v1::Message message;
  auto writer = stub_->AppendMessage(&context, &message);
  v1::AppendMessageRequest request;
  request.mutable_header()->set_parent(alice_);
  request.mutable_header()->set_size_bytes(1000);
  ASSERT_TRUE(writer->Write(request));
  v1::Mailbox mailbox;
  do {
    ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  } while (mailbox.usage().reserved_bytes() != 1000);
  EXPECT_EQ(mailbox.usage().reserved_messages(), 1u);
  request.set_chunk(std::string(500, 'x'));
  ASSERT_TRUE(writer->Write(request));
  context.TryCancel();
  EXPECT_EQ(writer->Finish().error_code(), StatusCode::CANCELLED);
  do {
    ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  } while (mailbox.usage().reserved_bytes() != 0);
  EXPECT_EQ(mailbox.usage().messages(), 0u);
}

TEST_F(MessageServiceTest, AnAppendThatSendsNothingIsEnded) {
  rpc::MessageService impatient(messages_.get(), absl::Milliseconds(50));
  grpc::ServerBuilder builder;
  builder.RegisterService(&impatient);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = v1::MessageService::NewStub(server->InProcessChannel(grpc::ChannelArguments()));
  grpc::ClientContext context;
  v1::Message message;
  auto writer = stub->AppendMessage(&context, &message);
  v1::AppendMessageRequest request;
  request.mutable_header()->set_parent(alice_);
  request.mutable_header()->set_size_bytes(1000);
  ASSERT_TRUE(writer->Write(request));
  // And nothing more: this waits until the service has enough.
  EXPECT_EQ(writer->Finish().error_code(), StatusCode::CANCELLED);
  v1::Mailbox mailbox;
  do {
    ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  } while (mailbox.usage().reserved_bytes() != 0);
  server->Shutdown();
}

TEST_F(MessageServiceTest, ARepeatedAppendIsAnsweredWithTheFirstResult) {
  const auto with_id = [](v1::AppendMessageRequest::Header& header) {
    header.set_request_id(std::string(16, 'q'));
  };
  v1::Message first, second;
  ASSERT_TRUE(Append(alice_, "hello", &first, with_id).ok());
  ASSERT_TRUE(Append(alice_, "hello", &second, with_id).ok());
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  ExpectInvalid(Append(alice_, "hello!", &second, with_id), "header.request_id");
  v1::Mailbox mailbox;
  ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  EXPECT_EQ(mailbox.usage().messages(), 1u);
}

TEST_F(MessageServiceTest, MessagesAreListedAndExpunged) {
  v1::Message message;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Append(alice_, "hello", &message).ok());
  v1::ListMessagesRequest list;
  list.set_parent(alice_ + "/folders/inbox");
  list.set_page_size(3);
  v1::ListMessagesResponse page;
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page).ok());
  ASSERT_EQ(page.messages_size(), 3);
  list.set_page_token(page.next_page_token());
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page).ok());
  ASSERT_EQ(page.messages_size(), 2);
  EXPECT_EQ(page.messages(0).uid(), 4u);
  EXPECT_EQ(page.next_page_token(), "");
  list.set_parent("mailboxes/bob@example.org");
  ExpectInvalid(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page), "page_token");
  list.clear_page_token();
  ExpectProblem(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page), StatusCode::NOT_FOUND,
                "NOT_FOUND", "mailboxes/bob@example.org");

  v1::DeleteMessageRequest erase;
  erase.set_name(message.name());
  google::protobuf::Empty empty;
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::DeleteMessage, erase, &empty).ok());
  ExpectProblem(Call(*stub_, &v1::MessageService::Stub::DeleteMessage, erase, &empty), StatusCode::NOT_FOUND,
                "NOT_FOUND", message.name());
  v1::BatchDeleteMessagesRequest batch;
  v1::BatchDeleteMessagesResponse erased;
  batch.set_parent(alice_);
  ExpectInvalid(Call(*stub_, &v1::MessageService::Stub::BatchDeleteMessages, batch, &erased), "uids");
  for (uint64_t uid : {1, 2, 5, 77}) batch.add_uids(uid);
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::BatchDeleteMessages, batch, &erased).ok());
  EXPECT_EQ(erased.deleted_messages(), 2u);
  EXPECT_EQ(erased.deleted_bytes(), 10u);
  for (uint64_t uid = 100; batch.uids_size() < 1001; ++uid) batch.add_uids(uid);
  ExpectInvalid(Call(*stub_, &v1::MessageService::Stub::BatchDeleteMessages, batch, &erased), "uids");

  google::protobuf::Empty nothing;
  v1::DeleteMailboxRequest whole;
  whole.set_name(alice_);
  ExpectProblem(Call(*mailboxes_, &v1::MailboxService::Stub::DeleteMailbox, whole, &nothing),
                StatusCode::FAILED_PRECONDITION, "MAILBOX_NOT_EMPTY", alice_);
  v1::RecalculateUsageRequest recalculate;
  v1::RecalculateUsageResponse recalculated;
  recalculate.set_name(alice_);
  ASSERT_TRUE(
      Call(*mailboxes_, &v1::MailboxService::Stub::RecalculateUsage, recalculate, &recalculated).ok());
  EXPECT_EQ(recalculated.recorded().bytes(), 10u);
  EXPECT_EQ(recalculated.actual().messages(), 2u);
  EXPECT_FALSE(recalculated.corrected());
}

TEST_F(MessageServiceTest, StatusAndVerifyAddUp) {
  v1::Message message;
  ASSERT_TRUE(CreateMailbox("mailboxes/bob@example.org", nullptr, [](auto& r) {
                r.mutable_mailbox()->mutable_max_bytes()->set_kind(v1::Limit::VALUE);
                r.mutable_mailbox()->mutable_max_bytes()->set_value(100);
              }).ok());
  ASSERT_TRUE(Append("mailboxes/bob@example.org", std::string(50, 'x'), &message).ok());
  ASSERT_TRUE(Append(alice_, "hello", &message).ok());
  clock_.Advance(2'500'000);
  v1::GetStatusRequest request;
  request.set_fullest_count(5);
  v1::StoreStatus status;
  ASSERT_TRUE(Call(*store_, &v1::StoreService::Stub::GetStatus, request, &status).ok());
  EXPECT_NE(status.version(), "");
  EXPECT_EQ(status.engine(), "memory");
  EXPECT_EQ(status.uptime().seconds(), 2);
  EXPECT_EQ(status.domain_count(), 1u);
  EXPECT_EQ(status.mailbox_count(), 2u);
  EXPECT_EQ(status.usage().bytes(), 55u);
  ASSERT_EQ(status.fullest_size(), 1);
  EXPECT_EQ(status.fullest(0).mailbox(), "mailboxes/bob@example.org");
  EXPECT_DOUBLE_EQ(status.fullest(0).share(), 0.5);

  grpc::ClientContext context;
  auto reader = store_->Verify(&context, v1::VerifyRequest());
  v1::VerifyResponse response;
  bool done = false;
  while (reader->Read(&response)) {
    EXPECT_FALSE(done);
    EXPECT_EQ(response.problems_size(), 0) << response.DebugString();
    done = response.done();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(done);
  EXPECT_EQ(response.checked_mailboxes(), 2u);
  EXPECT_EQ(response.total_mailboxes(), 2u);
  EXPECT_EQ(response.checked_messages(), 2u);
  EXPECT_EQ(response.checked_bodies(), 2u);
}

TEST_F(MessageServiceTest, VerifyTellsProblemsAndEndsWhenCancelled) {
  for (int i = 0; i < 700; ++i) {
    ASSERT_TRUE(CreateMailbox("mailboxes/m" + std::to_string(i) + "@example.org").ok());
  }
  engine_->ListPartitions(engine::PartitionId::Kind::kMailbox, 0, 1000, [&](auto found) {
    for (auto& [number, head] : *found) {
      engine_->Update(
          engine::PartitionId::Mailbox(number), {},
          [](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
            engine::Change change;
            change.head = *view.head;
            change.head.mutable_mailbox()->set_used_bytes(1);
            return change;
          },
          [](absl::Status) {});
    }
  });
  int problems = 0;
  {
    grpc::ClientContext context;
    auto reader = store_->Verify(&context, v1::VerifyRequest());
    v1::VerifyResponse response;
    while (reader->Read(&response)) problems += response.problems_size();
    EXPECT_TRUE(reader->Finish().ok());
    EXPECT_TRUE(response.done());
  }
  EXPECT_EQ(problems, 701);
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    auto reader = store_->Verify(&context, v1::VerifyRequest());
    v1::VerifyResponse response;
    reader->Read(&response);
    context.TryCancel();
    while (reader->Read(&response)) {
    }
    EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);
  }
}

TEST_F(MessageServiceTest, ScrubOfAnEngineWithoutADiskIsUnimplemented) {
  grpc::ClientContext context;
  auto reader = store_->Scrub(&context, v1::ScrubRequest());
  v1::ScrubResponse response;
  while (reader->Read(&response)) EXPECT_FALSE(response.done());
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::UNIMPLEMENTED);
}

TEST_F(MessageServiceTest, ScrubTellsDamageByNameAndManyMessagesInParts) {
  mail::MortalEngine engine(engine_.get());
  rpc::StoreService service(&engine, provisioning_.get(), messages_.get(), deliveries_.get());
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  const auto stub = v1::StoreService::NewStub(server->InProcessChannel(grpc::ChannelArguments()));
  uint64_t number = 0;
  engine_->ListPartitions(engine::PartitionId::Kind::kMailbox, 0, 1,
                          [&](auto found) { number = found->front().first; });
  engine::Damage damage{"/data/f", 64, "wrong", {}};
  for (uint64_t uid = 1; uid <= 1200; ++uid) damage.messages.emplace_back(number, uid);
  engine.scrub = [&](uint64_t rate, engine::UpkeepReport report, auto done) {
    EXPECT_EQ(rate, 5u);
    report({.done_bytes = 7, .total_bytes = 7, .damages = {damage}});
    done(absl::OkStatus());
  };
  v1::ScrubRequest request;
  request.set_max_bytes_per_second(5);
  grpc::ClientContext context;
  auto reader = stub->Scrub(&context, request);
  v1::ScrubResponse response;
  std::vector<std::string> named;
  while (reader->Read(&response)) {
    for (const v1::Damage& part : response.damages()) {
      EXPECT_EQ(part.file(), "/data/f");
      EXPECT_EQ(part.offset(), 64u);
      EXPECT_LE(part.messages_size(), 500);
      named.insert(named.end(), part.messages().begin(), part.messages().end());
    }
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(response.done());
  EXPECT_EQ(response.checked_bytes(), 7u);
  ASSERT_EQ(named.size(), 1200u);
  EXPECT_EQ(named.front(), alice_ + "/folders/INBOX/messages/1");
  EXPECT_EQ(named.back(), alice_ + "/folders/INBOX/messages/1200");

  damage.messages.resize(1);
  engine.last_scrub = {.end_us = 1'700'000'000'000'000,
                       .duration_us = 2'500'000,
                       .bytes = 7,
                       .damages = 3,
                       .first_damages = {damage}};
  v1::StoreStatus status;
  grpc::ClientContext status_context;
  ASSERT_TRUE(stub->GetStatus(&status_context, v1::GetStatusRequest(), &status).ok());
  EXPECT_EQ(status.last_scrub().end_time().seconds(), 1'700'000'000);
  EXPECT_EQ(status.last_scrub().duration().seconds(), 2);
  EXPECT_EQ(status.last_scrub().damage_count(), 3u);
  ASSERT_EQ(status.last_scrub().first_damages_size(), 1);
  EXPECT_EQ(status.last_scrub().first_damages(0).messages(0), alice_ + "/folders/INBOX/messages/1");
  server->Shutdown();
}

TEST_F(MessageServiceTest, WhatKeepsNothingOnDiskHasNoBackup) {
  grpc::ClientContext context;
  v1::BackupRequest request;
  request.set_directory("/nowhere");
  auto reader = store_->Backup(&context, request);
  v1::BackupResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::UNIMPLEMENTED);
}

TEST_F(MessageServiceTest, ManyCallersAtOnceKeepTheNumbersExact) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        v1::Message message;
        EXPECT_TRUE(Append(alice_, std::string(100 + t, 'x'), &message).ok());
        if (i % 2 == 0) {
          v1::DeleteMessageRequest erase;
          erase.set_name(message.name());
          google::protobuf::Empty empty;
          EXPECT_TRUE(Call(*stub_, &v1::MessageService::Stub::DeleteMessage, erase, &empty).ok());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  v1::Mailbox mailbox;
  ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  EXPECT_EQ(mailbox.usage().messages(), 100u);
  EXPECT_EQ(mailbox.usage().bytes(), 25u * (100 + 101 + 102 + 103));
  EXPECT_EQ(mailbox.uid_next(), 201u);
}

}  // namespace
}  // namespace restante
