// Who may call what, asked of the server itself: every method that it serves, and
// callers with all sorts of rights.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "restante/v1/delivery.grpc.pb.h"
#include "server/access/authorizer.h"
#include "server/access/token.h"
#include "tests/rpc/services_fixture.h"

namespace restante {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::Message;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;
using ::testing::HasSubstr;

class AccessTest : public ServicesTest {
 protected:
  AccessTest() {
    for (const char* domain : {"example.org", "example.net"}) {
      EXPECT_TRUE(CreateDomain(absl::StrCat("domains/", domain)).ok());
      EXPECT_TRUE(CreateMailbox(absl::StrCat("mailboxes/alice@", domain)).ok());
    }
    Write("");
    auto loaded = access::Authorizer::Load(file_, /*certificates_are_asked_for=*/true, &clock_);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    authorizer_ = *std::move(loaded);
    rpc::Server::Options options;
    options.authorizer = authorizer_.get();
    guarded_ = *rpc::Server::Start(options, api_->methods());
    guarded_channel_ = guarded_->InProcessChannel();
  }
  ~AccessTest() override { std::filesystem::remove(file_); }

  void Write(const std::string& text) { std::ofstream(file_) << text; }
  // Knows these callers and no others from now on: name and token are the same.
  void Know(const std::map<std::string, std::string>& callers) {
    std::string text;
    for (const auto& [name, rights] : callers) {
      absl::StrAppend(&text, "[[caller]]\nname = \"", name, "\"\ntoken_sha256 = \"",
                      access::TokenHash::Of(TokenOf(name)).ToString(), "\"\n", rights, "\n");
    }
    Write(text);
    authorizer_->Reload();
  }
  static std::string TokenOf(const std::string& name) {
    return absl::StrCat("the-token-of-the-caller-", name);
  }
  static void Authenticate(grpc::ClientContext& context, const std::string& name) {
    if (!name.empty()) context.AddMetadata("authorization", "Bearer " + TokenOf(name));
  }

  // A call of one request, whatever kind of method it is; nobody's without `name`.
  grpc::Status Ask(const std::string& name, const std::string& path, const Message& request,
                   Message* response) {
    grpc::TemplatedGenericStub<Message, Message> stub(guarded_channel_);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(2));
    Authenticate(context, name);
    grpc::Status status;
    absl::Notification done;
    stub.UnaryCall(&context, path, {}, &request, response, [&](grpc::Status s) {
      status = std::move(s);
      done.Notify();
    });
    done.WaitForNotification();
    return status;
  }
  template <typename Request>
  StatusCode CodeOf(const std::string& name, const std::string& method, const Request& request) {
    const auto* described = DescriptorPool::generated_pool()->FindMethodByName(method);
    const std::unique_ptr<Message> response(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(described->output_type())->New());
    return Ask(name, absl::StrCat("/", described->service()->full_name(), "/", described->name()), request,
               response.get())
        .error_code();
  }

  const std::string file_ = absl::StrCat(testing::TempDir(), "restante-callers-", ::getpid(), ".toml");
  std::unique_ptr<access::Authorizer> authorizer_;
  std::unique_ptr<rpc::Server> guarded_;
  std::shared_ptr<grpc::Channel> guarded_channel_;
};

TEST_F(AccessTest, NoMethodServesWhoIsUnknownOrLacksTheRole) {
  Know({{"nobody-else", "roles = [\"operator\"]"},
        {"mta", "roles = [\"mta\"]"},
        {"reader", "roles = [\"reader\"]"},
        {"operator", "roles = [\"operator\"]"}});
  // What there is, the server says itself; and that, too, to operators only.
  ServerReflectionRequest question;
  question.set_list_services("*");
  ServerReflectionResponse services;
  constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  ASSERT_TRUE(Ask("operator", kReflection, question, &services).ok());
  std::map<std::string, access::Rule> rules;
  for (const rpc::Method& method : api_->methods()) rules[method.name] = method.rule;

  int methods = 0;
  for (const auto& listed : services.list_services_response().service()) {
    const auto* service = DescriptorPool::generated_pool()->FindServiceByName(listed.name());
    ASSERT_NE(service, nullptr) << listed.name();
    for (int i = 0; i < service->method_count(); ++i, ++methods) {
      const auto* method = service->method(i);
      const std::string name = absl::StrCat(listed.name(), "/", method->name());
      ASSERT_TRUE(rules.contains(name)) << name;
      auto* factory = google::protobuf::MessageFactory::generated_factory();
      const std::unique_ptr<Message> request(factory->GetPrototype(method->input_type())->New());
      const std::unique_ptr<Message> response(factory->GetPrototype(method->output_type())->New());
      const auto ask = [&](const std::string& who) {
        return Ask(who, absl::StrCat("/", name), *request, response.get()).error_code();
      };
      EXPECT_EQ(ask(""), StatusCode::UNAUTHENTICATED) << name;
      EXPECT_EQ(ask("stranger"), StatusCode::UNAUTHENTICATED) << name;
      for (const auto& [who, role] :
           {std::pair("mta", access::Role::kMta), std::pair("reader", access::Role::kReader),
            std::pair("operator", access::Role::kOperator)}) {
        if (rules[name].roles.Intersects(role)) continue;
        EXPECT_EQ(ask(who), StatusCode::PERMISSION_DENIED) << name << " for " << who;
      }
    }
  }
  EXPECT_GE(methods, 42);
}

TEST_F(AccessTest, AMethodWithoutARoleDoesNotStart) {
  rpc::Methods methods = api_->methods();
  methods.front().rule = {};
  EXPECT_EQ(rpc::Server::Start({}, methods).status().message(),
            "/restante.v1.DeliveryService/Deliver: its row in the table of methods names no role");
}

TEST_F(AccessTest, ARefusalHasItsReason) {
  Know({{"mx1", "roles = [\"mta\"]"}});
  v1::CreateDomainRequest request;
  v1::Domain response;
  const grpc::Status denied = Ask("mx1", "/restante.v1.MailboxService/CreateDomain", request, &response);
  ExpectProblem(denied, StatusCode::PERMISSION_DENIED, "ROLE_MISSING",
                "restante.v1.MailboxService/CreateDomain");
  EXPECT_THAT(denied.error_message(), HasSubstr("needs the role operator, caller mx1 has mta"));
  ExpectProblem(Ask("", "/restante.v1.MailboxService/CreateDomain", request, &response),
                StatusCode::UNAUTHENTICATED, "UNAUTHENTICATED", "");
}

TEST_F(AccessTest, ARestrictedCallerTouchesItsDomainsOnly) {
  Know({{"ours", "roles = [\"operator\", \"reader\", \"mta\"]\ndomains = [\"example.org\"]"}});
  const std::string mailbox = "restante.v1.MailboxService.", message = "restante.v1.MessageService.";
  for (const bool own : {true, false}) {
    const std::string domain = own ? "example.org" : "example.net";
    const auto expected = [&](StatusCode code) { return own ? code : StatusCode::PERMISSION_DENIED; };
    SCOPED_TRACE(domain);
    v1::GetDomainRequest get_domain;
    get_domain.set_name("domains/" + domain);
    EXPECT_EQ(CodeOf("ours", mailbox + "GetDomain", get_domain), expected(StatusCode::OK));
    v1::GetMailboxRequest get;
    get.set_name("mailboxes/alice@" + domain);
    EXPECT_EQ(CodeOf("ours", mailbox + "GetMailbox", get), expected(StatusCode::OK));
    v1::ListMailboxesRequest list;
    list.set_domain("domains/" + domain);
    EXPECT_EQ(CodeOf("ours", mailbox + "ListMailboxes", list), expected(StatusCode::OK));
    v1::ListAliasesRequest list_aliases;
    list_aliases.set_domain("domains/" + domain);
    EXPECT_EQ(CodeOf("ours", mailbox + "ListAliases", list_aliases), expected(StatusCode::OK));
    v1::CreateAliasRequest alias;
    alias.mutable_alias()->set_name("aliases/info@" + domain);
    alias.mutable_alias()->set_mailbox("mailboxes/alice@example.org");
    EXPECT_EQ(CodeOf("ours", mailbox + "CreateAlias", alias), expected(StatusCode::OK));
    alias.mutable_alias()->set_name("aliases/sales@example.org");
    alias.mutable_alias()->set_mailbox("mailboxes/alice@" + domain);
    EXPECT_EQ(CodeOf("ours", mailbox + "CreateAlias", alias), expected(StatusCode::OK));
    v1::CreateMailboxRequest create;
    create.mutable_mailbox()->set_name("mailboxes/bob@" + domain);
    EXPECT_EQ(CodeOf("ours", mailbox + "CreateMailbox", create), expected(StatusCode::OK));
    v1::RenameMailboxRequest rename;
    rename.set_name(own ? "mailboxes/bob@example.org" : "mailboxes/carol@example.org");
    rename.set_new_name("mailboxes/carol@" + domain);
    EXPECT_EQ(CodeOf("ours", mailbox + "RenameMailbox", rename), expected(StatusCode::OK));
    v1::ListMessagesRequest messages;
    messages.set_parent(absl::StrCat("mailboxes/alice@", domain, "/folders/INBOX"));
    EXPECT_EQ(CodeOf("ours", message + "ListMessages", messages), expected(StatusCode::OK));
    v1::ReadMessageRequest read;
    read.set_name(absl::StrCat("mailboxes/alice%40", domain, "/folders/INBOX/messages/1"));
    EXPECT_EQ(CodeOf("ours", message + "ReadMessage", read), expected(StatusCode::NOT_FOUND));
    v1::AppendMessageRequest append;
    append.mutable_header()->set_parent("mailboxes/alice@" + domain);
    append.mutable_header()->set_size_bytes(3);
    EXPECT_EQ(CodeOf("ours", message + "AppendMessage", append), expected(StatusCode::INVALID_ARGUMENT))
        << "too short";
  }
  // Where a list names no domain, and where a method is about the whole store.
  EXPECT_EQ(CodeOf("ours", mailbox + "ListMailboxes", v1::ListMailboxesRequest()),
            StatusCode::PERMISSION_DENIED);
  v1::ListMailboxesRequest free_text;
  free_text.set_page_token("domains/example.org");
  EXPECT_EQ(CodeOf("ours", mailbox + "ListMailboxes", free_text), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(CodeOf("ours", mailbox + "ListAliases", v1::ListAliasesRequest()), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(CodeOf("ours", mailbox + "ListDomains", v1::ListDomainsRequest()), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(CodeOf("ours", "restante.v1.StoreService.GetStatus", v1::GetStatusRequest()),
            StatusCode::PERMISSION_DENIED);
  v1::UpdateDomainRequest limits;
  limits.mutable_domain()->set_name("domains/example.org");
  EXPECT_EQ(CodeOf("ours", mailbox + "UpdateDomain", limits), StatusCode::PERMISSION_DENIED)
      << "limits are set by who has all domains";
  v1::GetMailboxRequest no_name;
  no_name.set_name("mailboxes/alice");
  EXPECT_EQ(CodeOf("ours", mailbox + "GetMailbox", no_name), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(CodeOf("ours", "restante.v1.DeliveryService.GetCapacity", v1::GetCapacityRequest()),
            StatusCode::OK);
}

TEST_F(AccessTest, PastQuotaAndHoldAppendsAreOfOperatorsOnly) {
  Know({{"imap", "roles = [\"reader\"]"},
        {"mover", "roles = [\"reader\", \"operator\"]"},
        {"ours", "roles = [\"reader\", \"operator\"]\ndomains = [\"example.org\"]"}});
  const auto ask = [&](const std::string& who, bool ignore_quota, bool while_on_hold) {
    v1::AppendMessageRequest append;
    append.mutable_header()->set_parent("mailboxes/alice@example.org");
    append.mutable_header()->set_size_bytes(0);
    append.mutable_header()->set_ignore_quota(ignore_quota);
    append.mutable_header()->set_while_on_hold(while_on_hold);
    return CodeOf(who, "restante.v1.MessageService.AppendMessage", append);
  };
  EXPECT_EQ(ask("imap", false, false), StatusCode::OK);
  EXPECT_EQ(ask("imap", true, false), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ask("imap", false, true), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ask("mover", true, true), StatusCode::OK);
  EXPECT_EQ(ask("ours", false, true), StatusCode::OK);
  EXPECT_EQ(ask("ours", true, false), StatusCode::PERMISSION_DENIED)
      << "a domain's limits are not the affair of who is restricted to it";
}

TEST_F(AccessTest, WhatOperatorsChangeIsLoggedWithWhoAndHowItWas) {
  Know({{"admin", "roles = [\"operator\"]"}});
  v1::UpdateMailboxRequest update;
  update.mutable_mailbox()->set_name("mailboxes/Alice@EXAMPLE.org");
  update.mutable_mailbox()->mutable_max_bytes()->set_kind(v1::Limit::VALUE);
  update.mutable_mailbox()->mutable_max_bytes()->set_value(4711);
  update.mutable_update_mask()->add_paths("max_bytes");
  testing::internal::CaptureStderr();
  ASSERT_EQ(CodeOf("admin", "restante.v1.MailboxService.UpdateMailbox", update), StatusCode::OK);
  std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("changed caller=admin peer="));
  EXPECT_THAT(log, HasSubstr("method=restante.v1.MailboxService/UpdateMailbox before="));
  const std::string before = log.substr(log.find("before="), log.find("after=") - log.find("before="));
  EXPECT_THAT(before, HasSubstr("mailboxes/alice@example.org"));
  EXPECT_THAT(before, testing::Not(HasSubstr("4711")));
  EXPECT_THAT(log.substr(log.find("after=")), HasSubstr("4711"));

  v1::DeleteMailboxRequest remove;
  remove.set_name("mailboxes/alice@example.org");
  testing::internal::CaptureStderr();
  ASSERT_EQ(CodeOf("admin", "restante.v1.MailboxService.DeleteMailbox", remove), StatusCode::OK);
  log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("4711"));
  EXPECT_THAT(log, HasSubstr("after=none"));

  // A request that is repeated changes nothing.
  v1::CreateDomainRequest create;
  create.mutable_domain()->set_name("domains/new.example");
  create.set_request_id(std::string(16, 'r'));
  testing::internal::CaptureStderr();
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(CodeOf("admin", "restante.v1.MailboxService.CreateDomain", create), StatusCode::OK);
  }
  log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("before=none"));
  EXPECT_EQ(log.find(" changed "), log.rfind(" changed ")) << log;

  testing::internal::CaptureStderr();
  CodeOf("admin", "restante.v1.StoreService.Compact", v1::CompactRequest());
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("operation caller=admin peer="));
}

// One Deliver stream, step by step.
class Conversation {
 public:
  Conversation(const std::shared_ptr<grpc::Channel>& channel, const std::string& token)
      : stub_(v1::DeliveryService::NewStub(channel)) {
    context_.AddMetadata("authorization", "Bearer " + token);
    stream_ = stub_->Deliver(&context_);
  }

  v1::Answer Say(uint64_t transaction, const std::function<void(v1::Event&)>& fill) {
    v1::DeliverRequest request;
    request.add_events()->set_transaction(transaction);
    fill(*request.mutable_events(0));
    stream_->Write(request);
    v1::DeliverResponse response;
    EXPECT_TRUE(stream_->Read(&response));
    EXPECT_EQ(response.answers_size(), 1);
    return response.answers_size() == 1 ? response.answers(0) : v1::Answer();
  }
  v1::Answer Begin(uint64_t transaction) {
    return Say(transaction, [&](v1::Event& e) {
      e.mutable_begin()->set_request_id(std::string(16, static_cast<char>(transaction)));
    });
  }
  v1::Outcome Recipient(uint64_t transaction, const std::string& address) {
    return Say(transaction, [&](v1::Event& e) { e.mutable_recipient()->set_address(address); })
        .decision()
        .outcome();
  }
  v1::Outcome Check(const std::string& address) {
    return Say(0, [&](v1::Event& e) { e.mutable_check()->mutable_recipient()->set_address(address); })
        .checked()
        .decision()
        .outcome();
  }
  v1::Answer Data(uint64_t transaction) {
    return Say(transaction, [](v1::Event& e) { e.mutable_data(); });
  }
  v1::Answer Commit(uint64_t transaction, const std::string& text) {
    v1::DeliverRequest request;
    request.add_events()->set_transaction(transaction);
    request.mutable_events(0)->set_chunk(text);
    stream_->Write(request);
    return Say(transaction, [&](v1::Event& e) { e.mutable_commit()->set_size(text.size()); });
  }
  grpc::Status End() {
    stream_->WritesDone();
    v1::DeliverResponse response;
    while (stream_->Read(&response)) {
    }
    return stream_->Finish();
  }

 private:
  const std::unique_ptr<v1::DeliveryService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::DeliverRequest, v1::DeliverResponse>> stream_;
};

TEST_F(AccessTest, ToARestrictedMtaOtherDomainsAreForeign) {
  Know({{"mx1", "roles = [\"mta\"]\ndomains = [\"example.org\"]"}});
  Conversation stream(guarded_channel_, TokenOf("mx1"));
  EXPECT_TRUE(stream.Begin(1).has_begun());
  EXPECT_EQ(stream.Recipient(1, "alice@example.net"), v1::OUTCOME_FOREIGN_DOMAIN);
  EXPECT_EQ(stream.Recipient(1, "postmaster"), v1::OUTCOME_FOREIGN_DOMAIN) << "whose it is, is not said";
  EXPECT_EQ(stream.Recipient(1, "Alice@EXAMPLE.org"), v1::OUTCOME_OK);
  EXPECT_TRUE(stream.Data(1).has_ready());
  EXPECT_EQ(stream.Commit(1, "Subject: a\r\n\r\n").receipts().receipts_size(), 1);
  EXPECT_TRUE(stream.End().ok());
  for (const auto& [address, outcome] : {std::pair("alice@example.org", v1::OUTCOME_OK),
                                         std::pair("alice@example.net", v1::OUTCOME_FOREIGN_DOMAIN)}) {
    v1::CheckRecipientRequest request;
    request.set_address(address);
    v1::CheckRecipientResponse response;
    ASSERT_TRUE(Ask("mx1", "/restante.v1.DeliveryService/CheckRecipient", request, &response).ok());
    EXPECT_EQ(response.decision().outcome(), outcome) << address;
    Conversation asking(guarded_channel_, TokenOf("mx1"));
    EXPECT_EQ(asking.Check(address), outcome) << address;
  }
}

TEST_F(AccessTest, ARevokedMtaBeginsNothingNewAndEndsWhatWasPromised) {
  Know({{"mx1", "roles = [\"mta\"]"}});
  Conversation stream(guarded_channel_, TokenOf("mx1"));
  EXPECT_TRUE(stream.Begin(1).has_begun());
  EXPECT_EQ(stream.Recipient(1, "alice@example.org"), v1::OUTCOME_OK);
  EXPECT_TRUE(stream.Data(1).has_ready());
  Know({{"mx1", "roles = [\"reader\"]"}});
  const v1::Answer refused = stream.Begin(2);
  EXPECT_EQ(refused.refused().outcome(), v1::OUTCOME_UNAVAILABLE);
  EXPECT_THAT(refused.refused().detail(), HasSubstr("needs the role mta"));
  EXPECT_EQ(stream.Check("alice@example.org"), v1::OUTCOME_UNAVAILABLE);
  EXPECT_TRUE(stream.Commit(1, "Subject: a\r\n\r\n").receipts().committed());
  Know({{"mx1", "roles = [\"mta\"]"}});
  EXPECT_TRUE(stream.Begin(3).has_begun());
  EXPECT_TRUE(stream.End().ok());
}

TEST_F(AccessTest, RequestIdsOfTwoCallersHaveNothingToDoWithEachOther) {
  Know({{"mx1", "roles = [\"mta\"]"}, {"mx2", "roles = [\"mta\"]"}});
  std::map<std::string, std::string> ids;
  for (const char* name : {"mx1", "mx2"}) {
    Conversation stream(guarded_channel_, TokenOf(name));
    ids[name] = stream.Begin(1).begun().transaction_id();
    EXPECT_EQ(stream.Recipient(1, "alice@example.org"), v1::OUTCOME_OK);
    EXPECT_TRUE(stream.Data(1).has_ready());
    EXPECT_TRUE(stream.Commit(1, absl::StrCat("From: ", name, "\r\n\r\n")).receipts().committed());
  }
  EXPECT_NE(ids["mx1"], ids["mx2"]);
}

}  // namespace
}  // namespace restante
