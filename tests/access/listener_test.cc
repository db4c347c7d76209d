// A gRPC server behind ListenerCredentials, and clients with all sorts of certificates.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "restante/v1/delivery.grpc.pb.h"
#include "server/access/listener_credentials.h"
#include "server/access/peer_credentials.h"
#include "server/base/file_watch.h"
#include "server/base/pem_files.h"
#include "tests/access/test_authority.h"

namespace restante::access {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string TextOf(const std::string& file) { return *ReadSmallFile(file); }

// Answers with nothing, and keeps what the last caller showed.
class Witness : public v1::DeliveryService::Service {
 public:
  grpc::Status GetCapacity(grpc::ServerContext* context, const v1::GetCapacityRequest*,
                           v1::Capacity*) override {
    absl::MutexLock lock(&mutex_);
    seen_ = PeerCredentials(context->auth_context().get(), context->client_metadata());
    return grpc::Status::OK;
  }
  // Sends back one answer for each request.
  grpc::Status Deliver(grpc::ServerContext*,
                       grpc::ServerReaderWriter<v1::DeliverResponse, v1::DeliverRequest>* stream) override {
    v1::DeliverRequest request;
    while (stream->Read(&request)) stream->Write({});
    return grpc::Status::OK;
  }
  Credentials seen() {
    absl::MutexLock lock(&mutex_);
    return seen_;
  }

 private:
  absl::Mutex mutex_;
  Credentials seen_;
};

class ListenerTest : public testing::Test {
 protected:
  ~ListenerTest() override {
    if (server_ != nullptr) server_->Shutdown();
  }

  void Listen(bool ask_client = true) {
    auto loaded = ListenerCredentials::Load(
        {store_.certificate, store_.key, ask_client ? clients_.certificate() : std::string()});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    credentials_ = *std::move(loaded);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials_->credentials(), &port_);
    builder.RegisterService(&witness_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    ASSERT_NE(port_, 0);
  }

  std::shared_ptr<grpc::Channel> Channel(std::shared_ptr<grpc::ChannelCredentials> credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port_), credentials, arguments);
  }
  std::shared_ptr<grpc::Channel> TlsChannel(const std::string& authority, const TestPair* client) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = TextOf(authority);
    if (client != nullptr) {
      options.pem_cert_chain = TextOf(client->certificate);
      options.pem_private_key = TextOf(client->key);
    }
    return Channel(grpc::SslCredentials(options));
  }
  static grpc::Status Call(const std::shared_ptr<grpc::Channel>& channel,
                           const std::vector<std::string>& authorization = {}) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(120));
    for (const std::string& value : authorization) context.AddMetadata("authorization", value);
    v1::Capacity capacity;
    return v1::DeliveryService::NewStub(channel)->GetCapacity(&context, {}, &capacity);
  }
  grpc::Status CallAs(const TestPair* client) { return Call(TlsChannel(servers_.certificate(), client)); }

  TestFolder folder_;
  TestAuthority servers_{folder_, "servers"};
  TestAuthority clients_{folder_, "clients"};
  TestPair store_ = servers_.Sign("store", "IP:127.0.0.1");
  Witness witness_;
  std::unique_ptr<ListenerCredentials> credentials_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(ListenerTest, SeesTheNamesOfAClientCertificate) {
  Listen();
  const TestPair mx1 = clients_.Sign("mx1", "DNS:mx1.example.org,URI:spiffe://example.org/mx1");
  const grpc::Status status = CallAs(&mx1);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(witness_.seen().certificate_names,
              ElementsAre("mx1", "mx1.example.org", "spiffe://example.org/mx1"));
  EXPECT_FALSE(witness_.seen().token.has_value());
}

TEST_F(ListenerTest, LetsInWithoutACertificateSoThatATokenCanTell) {
  Listen();
  const auto channel = TlsChannel(servers_.certificate(), nullptr);
  const std::string token = NewToken();
  ASSERT_TRUE(Call(channel, {"Bearer " + token}).ok());
  EXPECT_THAT(witness_.seen().certificate_names, IsEmpty());
  EXPECT_TRUE(witness_.seen().token == TokenHash::Of(token));
  EXPECT_FALSE(witness_.seen().malformed);
}

TEST_F(ListenerTest, TakesNothingButOneBearerTokenForOne) {
  Listen();
  const auto channel = TlsChannel(servers_.certificate(), nullptr);
  const std::string token = NewToken();
  for (const std::vector<std::string>& authorization :
       std::vector<std::vector<std::string>>{{token},
                                             {"Basic " + token},
                                             {"Bearer"},
                                             {"Bearer "},
                                             {"Bearer short"},
                                             {"Bearer " + token + " x"},
                                             {""},
                                             {"Bearer " + token, "Bearer " + token}}) {
    ASSERT_TRUE(Call(channel, authorization).ok());
    EXPECT_TRUE(witness_.seen().malformed) << authorization[0];
  }
  ASSERT_TRUE(Call(channel, {"bearer " + token}).ok());
  EXPECT_TRUE(witness_.seen().token == TokenHash::Of(token));
}

TEST_F(ListenerTest, RefusesCertificatesThatAreExpiredOrOfAnotherAuthority) {
  Listen();
  const TestPair expired = clients_.Sign("expired", "", /*expired=*/true);
  EXPECT_EQ(CallAs(&expired).error_code(), grpc::StatusCode::UNAVAILABLE);
  const TestPair foreign = servers_.Sign("foreign");
  EXPECT_EQ(CallAs(&foreign).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ListenerTest, DoesNotBelieveWhatItDidNotAskFor) {
  Listen(/*ask_client=*/false);
  const TestPair mx1 = clients_.Sign("mx1");
  ASSERT_TRUE(CallAs(&mx1).ok());
  EXPECT_THAT(witness_.seen().certificate_names, IsEmpty());
}

TEST_F(ListenerTest, HasNoAnswerForPlaintext) {
  Listen();
  EXPECT_EQ(Call(Channel(grpc::InsecureChannelCredentials())).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(CallAs(nullptr).ok());
}

TEST_F(ListenerTest, IsRefusedByClientsThatKnowAnotherAuthorityOrName) {
  Listen();
  EXPECT_EQ(Call(TlsChannel(clients_.certificate(), nullptr)).error_code(), grpc::StatusCode::UNAVAILABLE);
  servers_.Sign("store", "DNS:other.example.org");
  credentials_->Reload();
  EXPECT_EQ(CallAs(nullptr).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ListenerTest, IsRefusedByClientsWhenItsCertificateHasExpired) {
  servers_.Sign("store", "IP:127.0.0.1", /*expired=*/true);
  testing::internal::CaptureStderr();
  Listen();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("the TLS certificate has expired"));
  EXPECT_EQ(CallAs(nullptr).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ListenerTest, KeepsWhatItHadWhenANewFileIsBroken) {
  Listen();
  folder_.Write("store.key", TextOf(clients_.Sign("other").key));
  testing::internal::CaptureStderr();
  credentials_->Reload();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("the TLS certificate stays as it was"));
  EXPECT_THAT(log, HasSubstr("store.key`: is not the key of the certificate in"));
  EXPECT_TRUE(CallAs(nullptr).ok());
  const TestPair mx1 = clients_.Sign("mx1");
  folder_.Write("clients.pem", "");
  folder_.Write("store.pem", "");
  credentials_->Reload();
  EXPECT_TRUE(CallAs(&mx1).ok());
}

TEST_F(ListenerTest, ChangesItsCertificateUnderStreamsThatGoOn) {
  Listen();
  constexpr int kStreams = 100;
  struct Stream {
    std::unique_ptr<v1::DeliveryService::Stub> stub;
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::DeliverRequest, v1::DeliverResponse>> rpc;
  };
  std::vector<std::unique_ptr<Stream>> streams;
  const auto all_answer = [&streams] {
    for (const auto& stream : streams) {
      v1::DeliverResponse answer;
      ASSERT_TRUE(stream->rpc->Write({}) && stream->rpc->Read(&answer));
    }
  };
  for (int i = 0; i < kStreams; ++i) {
    auto& stream = streams.emplace_back(std::make_unique<Stream>());
    stream->stub = v1::DeliveryService::NewStub(TlsChannel(servers_.certificate(), nullptr));
    stream->rpc = stream->stub->Deliver(&stream->context);
  }
  all_answer();
  // Another authority altogether: who connects now has to know it.
  const TestAuthority others(folder_, "others");
  const std::string before = servers_.certificate();
  for (int i = 0; i < 3; ++i) {
    others.Sign("store", "IP:127.0.0.1");
    credentials_->Reload();
    EXPECT_TRUE(Call(TlsChannel(others.certificate(), nullptr)).ok());
    EXPECT_EQ(Call(TlsChannel(before, nullptr)).error_code(), grpc::StatusCode::UNAVAILABLE);
    all_answer();
  }
  for (const auto& stream : streams) {
    stream->rpc->WritesDone();
    EXPECT_TRUE(stream->rpc->Finish().ok());
  }
}

}  // namespace
}  // namespace restante::access
