// MailboxService, MessageService and StoreService through real stubs, over an
// in-process channel and the memory engine.
#ifndef RESTANTE_TESTS_RPC_SERVICES_FIXTURE_H_
#define RESTANTE_TESTS_RPC_SERVICES_FIXTURE_H_

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
#include "server/mail/event_feed.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"
#include "server/rpc/methods.h"
#include "server/rpc/server.h"
#include "tests/mail/fixture.h"

namespace restante {

using grpc::StatusCode;

constexpr uint64_t kMaxMessage = 2 << 20;

// The code, the reason, the resource and the field of an error.
struct Problem {
  StatusCode code;
  std::string reason, resource, field;
  std::map<std::string, std::string> metadata;
};

inline Problem ProblemOf(const grpc::Status& status) {
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

inline void ExpectInvalid(const grpc::Status& status, const std::string& field) {
  const Problem problem = ProblemOf(status);
  EXPECT_EQ(problem.code, StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_EQ(problem.field, field) << status.error_message();
}

inline void ExpectProblem(const grpc::Status& status, StatusCode code, const std::string& reason,
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
    events_ = std::make_unique<mail::EventFeed>(engine_.get());
    api_ = std::make_unique<rpc::Api>(engine_.get(), deliveries_.get(), provisioning_.get(), messages_.get(),
                                      events_.get());
    server_ = *rpc::Server::Start({}, api_->methods());
    channel_ = server_->InProcessChannel();
    mailboxes_ = v1::MailboxService::NewStub(channel_);
    stub_ = v1::MessageService::NewStub(channel_);
    store_ = v1::StoreService::NewStub(channel_);
  }

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
  std::unique_ptr<mail::EventFeed> events_;
  std::unique_ptr<rpc::Api> api_;
  std::unique_ptr<rpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::MailboxService::Stub> mailboxes_;
  std::unique_ptr<v1::MessageService::Stub> stub_;
  std::unique_ptr<v1::StoreService::Stub> store_;
};

class MessageServiceTest : public ServicesTest {
 protected:
  MessageServiceTest() {
    EXPECT_TRUE(CreateDomain("domains/example.org").ok());
    EXPECT_TRUE(CreateMailbox("mailboxes/alice@example.org").ok());
  }
  const std::string alice_ = "mailboxes/alice@example.org";
};

}  // namespace restante

#endif  // RESTANTE_TESTS_RPC_SERVICES_FIXTURE_H_
