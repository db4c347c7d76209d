// The server under the API: its table, its own services, and calls that it cannot
// make sense of.
#include "server/rpc/server.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>

#include "absl/synchronization/notification.h"
#include "tests/rpc/services_fixture.h"

namespace restante::rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

class ServerTest : public ServicesTest {
 protected:
  // A call of one request by the method's path.
  template <typename Response>
  grpc::Status Ask(const std::string& path, const google::protobuf::Message& request, Response* response) {
    grpc::TemplatedGenericStub<google::protobuf::Message, Response> stub(channel_);
    grpc::ClientContext context;
    grpc::Status status;
    absl::Notification done;
    stub.UnaryCall(&context, path, {}, &request, response, [&](grpc::Status s) {
      status = std::move(s);
      done.Notify();
    });
    done.WaitForNotification();
    return status;
  }
  HealthCheckResponse::ServingStatus Health(const std::string& service) {
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    const grpc::Status status = Ask("/grpc.health.v1.Health/Check", request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.status();
  }
};

// Reads what a Watch tells, one after another.
class Watch final : public grpc::ClientBidiReactor<HealthCheckRequest, HealthCheckResponse> {
 public:
  Watch(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) : stub_(channel) {
    request_.set_service(service);
    stub_.PrepareBidiStreamingCall(&context_, "/grpc.health.v1.Health/Watch", {}, this);
    StartWriteLast(&request_, {});
    StartRead(&response_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    if (!ok) return;
    told_.push_back(response_.status());
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    done_.Notify();
  }
  HealthCheckResponse::ServingStatus Told(size_t i) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&] {
      mutex_.AssertHeld();
      return told_.size() > i;
    };
    mutex_.Await(absl::Condition(&there));
    return told_[i];
  }
  grpc::Status End() {
    done_.WaitForNotification();
    return status_;
  }
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::TemplatedGenericStub<HealthCheckRequest, HealthCheckResponse> stub_;
  grpc::ClientContext context_;
  HealthCheckRequest request_;
  HealthCheckResponse response_;
  absl::Mutex mutex_;
  std::vector<HealthCheckResponse::ServingStatus> told_ ABSL_GUARDED_BY(mutex_);
  grpc::Status status_;
  absl::Notification done_;
};

TEST_F(ServerTest, HealthIsToldOfTheServerAndOfEachService) {
  EXPECT_EQ(Health(""), HealthCheckResponse::SERVING);
  EXPECT_EQ(Health("restante.v1.DeliveryService"), HealthCheckResponse::SERVING);
  HealthCheckRequest request;
  request.set_service("restante.v1.Nonesuch");
  HealthCheckResponse response;
  EXPECT_EQ(Ask("/grpc.health.v1.Health/Check", request, &response).error_code(), StatusCode::NOT_FOUND);
  api_->health().Stop();
  EXPECT_EQ(Health(""), HealthCheckResponse::NOT_SERVING);
}

TEST_F(ServerTest, AWatchTellsTheEndAndThenEnds) {
  Watch whole(channel_, ""), service(channel_, "restante.v1.StoreService"), unknown(channel_, "nonesuch");
  EXPECT_EQ(whole.Told(0), HealthCheckResponse::SERVING);
  EXPECT_EQ(service.Told(0), HealthCheckResponse::SERVING);
  EXPECT_EQ(unknown.Told(0), HealthCheckResponse::SERVICE_UNKNOWN);
  api_->health().Stop();
  EXPECT_EQ(whole.Told(1), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(service.Told(1), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(unknown.Told(1), HealthCheckResponse::SERVICE_UNKNOWN);
  for (Watch* watch : {&whole, &service, &unknown})
    EXPECT_EQ(watch->End().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(ServerTest, AWatchThatIsCancelledOutlivesNothing) {
  Watch watch(channel_, "");
  EXPECT_EQ(watch.Told(0), HealthCheckResponse::SERVING);
  watch.Cancel();
  EXPECT_EQ(watch.End().error_code(), StatusCode::CANCELLED);
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::minutes(5));  // Would wait for it.
}

TEST_F(ServerTest, ReflectionListsWhatTheTableServes) {
  Reflection reflection({"restante.v1.StoreService"});
  ServerReflectionRequest request;
  request.set_list_services("*");
  ServerReflectionResponse response = reflection.Answer(request);
  ASSERT_EQ(response.list_services_response().service_size(), 1);
  EXPECT_EQ(response.list_services_response().service(0).name(), "restante.v1.StoreService");

  ServerReflectionResponse served;
  for (const char* version : {"v1", "v1alpha"}) {
    const std::string path =
        absl::StrCat("/grpc.reflection.", version, ".ServerReflection/ServerReflectionInfo");
    ASSERT_TRUE(Ask(path, request, &served).ok());
    std::vector<std::string> names;
    for (const auto& service : served.list_services_response().service()) names.push_back(service.name());
    EXPECT_THAT(names, UnorderedElementsAreArray(
                           {"restante.v1.DeliveryService", "restante.v1.MailboxService",
                            "restante.v1.MessageService", "restante.v1.StoreService", "grpc.health.v1.Health",
                            "grpc.reflection.v1alpha.ServerReflection", "grpc.channelz.v1.Channelz"}));
    for (const std::string& name : names) {
      EXPECT_NE(google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name), nullptr) << name;
    }
  }
}

TEST_F(ServerTest, ReflectionDescribesFilesWithWhatTheyImport) {
  const Reflection reflection({});
  ServerReflectionRequest request;
  request.set_file_containing_symbol("restante.v1.DeliveryService.Deliver");
  ServerReflectionResponse response = reflection.Answer(request);
  std::vector<std::string> files;
  for (const std::string& octets : response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    ASSERT_TRUE(file.ParseFromString(octets));
    files.push_back(file.name());
  }
  ASSERT_FALSE(files.empty());
  EXPECT_EQ(files.front(), "restante/v1/delivery.proto");
  EXPECT_THAT(files, ::testing::Contains("restante/v1/common.proto"));
  EXPECT_EQ(std::set<std::string>(files.begin(), files.end()).size(), files.size());

  request.set_file_by_filename("restante/v1/store.proto");
  EXPECT_GT(reflection.Answer(request).file_descriptor_response().file_descriptor_proto_size(), 0);
  request.set_file_by_filename("nonesuch.proto");
  EXPECT_EQ(reflection.Answer(request).error_response().error_code(), StatusCode::NOT_FOUND);
  request.mutable_file_containing_extension()->set_containing_type("restante.v1.Event");
  EXPECT_EQ(reflection.Answer(request).error_response().error_code(), StatusCode::NOT_FOUND);
  request.set_all_extension_numbers_of_type("google.protobuf.MethodOptions");
  EXPECT_EQ(reflection.Answer(request).all_extension_numbers_response().base_type_name(),
            "google.protobuf.MethodOptions");
  EXPECT_EQ(reflection.Answer(ServerReflectionRequest()).error_response().error_code(),
            StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, ChannelzKnowsTheServer) {
  const auto message = [](const char* name) {
    const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
    return std::unique_ptr<google::protobuf::Message>(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  };
  const auto request = message("grpc.channelz.v1.GetServersRequest");
  v1::AppendMessageRequest response;  // What it cannot know is kept as it came.
  ASSERT_TRUE(Ask("/grpc.channelz.v1.Channelz/GetServers", *request, &response).ok());
  const auto servers = message("grpc.channelz.v1.GetServersResponse");
  ASSERT_TRUE(servers->ParseFromString(response.SerializeAsString()));
  EXPECT_THAT(servers->DebugString(), HasSubstr("server_id"));
  const auto nobody = message("grpc.channelz.v1.GetServerRequest");
  nobody->GetReflection()->SetInt64(nobody.get(), nobody->GetDescriptor()->FindFieldByName("server_id"),
                                    1 << 30);
  EXPECT_EQ(Ask("/grpc.channelz.v1.Channelz/GetServer", *nobody, &response).error_code(),
            StatusCode::NOT_FOUND);
}

TEST_F(ServerTest, AnUnknownMethodIsUnimplemented) {
  HealthCheckRequest request;
  HealthCheckResponse response;
  const grpc::Status status = Ask("/restante.v1.StoreService/Nonesuch", request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("/restante.v1.StoreService/Nonesuch"));
}

TEST_F(ServerTest, ARequestThatCannotBeParsedIsInvalid) {
  // Field 1 as a string that is no UTF-8, where proto3 demands it.
  v1::GetMailboxRequest request;
  request.GetReflection()->MutableUnknownFields(&request)->AddLengthDelimited(1, "\xff\xfe");
  v1::Mailbox mailbox;
  const grpc::Status status = Ask("/restante.v1.MailboxService/GetMailbox", request, &mailbox);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_THAT(status.error_message(), HasSubstr("restante.v1.GetMailboxRequest"));
}

TEST_F(ServerTest, AServiceWithAMethodThatHasNoRowDoesNotStart) {
  Methods methods = api_->methods();
  const size_t all = methods.size();
  std::erase_if(methods, [](const Method& m) { return m.name == "restante.v1.StoreService/Scrub"; });
  ASSERT_EQ(methods.size(), all - 1);
  const auto incomplete = Server::Start({}, methods);
  EXPECT_EQ(incomplete.status().message(),
            "/restante.v1.StoreService/Scrub: has no row in the table of methods");
  methods = api_->methods();
  methods.push_back(methods.front());
  EXPECT_THAT(std::string(Server::Start({}, methods).status().message()), HasSubstr("has two rows"));
}

TEST_F(ServerTest, AnAddressThatIsTakenIsNamed) {
  const auto first = Server::Start({.listen = "127.0.0.1:0"}, api_->methods());
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string address = absl::StrCat("127.0.0.1:", (*first)->port());
  const auto second = Server::Start({.listen = address}, api_->methods());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(address));
}

}  // namespace
}  // namespace restante::rpc
