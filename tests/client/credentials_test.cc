// Clients with StoreCredentials, against a store that looks at them.
#include "restante/credentials.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/lib/delivery_client.h"
#include "restante/client.h"
#include "restante/v1/delivery.grpc.pb.h"
#include "server/access/listener_credentials.h"
#include "server/access/peer_credentials.h"
#include "server/base/file_watch.h"
#include "tests/access/test_authority.h"

namespace restante {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Lets in whom `allowed` says, at an address that stays over restarts.
class GuardedStore : public v1::DeliveryService::Service {
 public:
  using Allowed = std::function<bool(const access::Credentials&)>;

  ~GuardedStore() override { Stop(); }

  // Empty files: in plaintext.
  void Start(PemFiles files = {}) {
    grpc::ServerBuilder builder;
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    if (!files.certificate.empty()) {
      tls_ = *access::ListenerCredentials::Load(std::move(files));
      credentials = tls_->credentials();
    }
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), credentials, &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void Stop() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
    tls_.reset();
  }
  void Allow(Allowed allowed) {
    absl::MutexLock lock(&mutex_);
    allowed_ = std::move(allowed);
  }
  std::string target() const { return absl::StrCat("127.0.0.1:", port_); }
  access::Credentials seen() {
    absl::MutexLock lock(&mutex_);
    return seen_;
  }
  int streams() {
    absl::MutexLock lock(&mutex_);
    return streams_;
  }

  grpc::Status GetCapacity(grpc::ServerContext* context, const v1::GetCapacityRequest*,
                           v1::Capacity*) override {
    return Judge(context);
  }
  grpc::Status Deliver(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<v1::DeliverResponse, v1::DeliverRequest>* stream) override {
    if (const grpc::Status status = Judge(context); !status.ok()) return status;
    Count(1);
    v1::DeliverRequest request;
    while (stream->Read(&request)) {
    }
    Count(-1);
    return grpc::Status::OK;
  }

 private:
  grpc::Status Judge(grpc::ServerContext* context) {
    absl::MutexLock lock(&mutex_);
    seen_ = access::PeerCredentials(context->auth_context().get(), context->client_metadata());
    if (!allowed_ || allowed_(seen_)) return grpc::Status::OK;
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "nobody we know");
  }
  void Count(int by) {
    absl::MutexLock lock(&mutex_);
    streams_ += by;
  }

  std::unique_ptr<access::ListenerCredentials> tls_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  Allowed allowed_;
  access::Credentials seen_;
  int streams_ = 0;
};

bool Is(const access::Credentials& seen, const std::string& name) {
  return std::count(seen.certificate_names.begin(), seen.certificate_names.end(), name) > 0;
}

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() {
    folder_.Write("token", token_ + "\n");
    credentials_.ca_file = servers_.certificate();
    credentials_.certificate_file = mx1_.certificate;
    credentials_.key_file = mx1_.key;
    credentials_.token_file = folder_.At("token");
  }

  PemFiles StoreFiles() const { return {store_.certificate, store_.key, clients_.certificate()}; }
  ClientOptions Options() const {
    ClientOptions options;
    options.target = target_store_.target();
    options.credentials = credentials_;
    return options;
  }
  absl::StatusCode Call(Client& client) { return client.GetCapacity({}).status().code(); }
  // Looks until it is so; a test that fails waits for the runner's patience.
  static void Await(const std::function<bool()>& condition, const char* what) {
    const absl::Time end = absl::Now() + absl::Seconds(240);
    while (!condition()) {
      ASSERT_LT(absl::Now(), end) << what;
      absl::SleepFor(absl::Milliseconds(5));
    }
  }

  TestFolder folder_;
  TestAuthority servers_{folder_, "servers"};
  TestAuthority clients_{folder_, "clients"};
  TestPair store_ = servers_.Sign("store", "IP:127.0.0.1");
  TestPair mx1_ = clients_.Sign("mx1");
  const std::string token_ = access::NewToken();
  StoreCredentials credentials_;
  GuardedStore target_store_;
};

TEST_F(CredentialsTest, ReachTheStore) {
  target_store_.Start(StoreFiles());
  Client client(Options());
  ASSERT_EQ(Call(client), absl::StatusCode::kOk);
  EXPECT_TRUE(Is(target_store_.seen(), "mx1"));
  EXPECT_TRUE(target_store_.seen().token == access::TokenHash::Of(token_));
}

TEST_F(CredentialsTest, MayBeATokenAloneInPlaintextOnThisMachine) {
  target_store_.Start();
  credentials_ = {.ca_file = "", .certificate_file = "", .key_file = "", .token_file = folder_.At("token")};
  Client client(Options());
  ASSERT_EQ(Call(client), absl::StatusCode::kOk);
  EXPECT_TRUE(target_store_.seen().token == access::TokenHash::Of(token_));
}

TEST_F(CredentialsTest, BelieveNoStoreOfAnotherAuthorityOrNameOrTime) {
  target_store_.Start(StoreFiles());
  Client believes(Options());
  EXPECT_EQ(Call(believes), absl::StatusCode::kOk);
  credentials_.ca_file = clients_.certificate();
  Client other_authority(Options());
  EXPECT_EQ(Call(other_authority), absl::StatusCode::kUnavailable);
  credentials_.ca_file = servers_.certificate();
  for (const bool expired : {false, true}) {
    target_store_.Stop();
    servers_.Sign("store", expired ? "IP:127.0.0.1" : "DNS:other.example.org", expired);
    target_store_.Start(StoreFiles());
    Client client(Options());
    EXPECT_EQ(Call(client), absl::StatusCode::kUnavailable) << expired;
  }
}

// Says why the transaction was lost.
class Loss : public TransactionHandler {
 public:
  void OnAnswer(const v1::Answer&) override {}
  void OnLost(absl::Status why, bool) override {
    absl::MutexLock lock(&mutex_);
    why_ = std::string(why.message());
  }
  std::string why() {
    absl::MutexLock lock(&mutex_);
    return why_;
  }

 private:
  absl::Mutex mutex_;
  std::string why_;
};

// Each address of a name is a store, and has to be who the name says.
TEST_F(CredentialsTest, BelieveAStoreByTheNameThatLedToIt) {
  class ToTheStore : public client_internal::Resolver {
   public:
    explicit ToTheStore(std::string address) : address_(std::move(address)) {}
    absl::StatusOr<std::vector<std::string>> Resolve(const std::string&, const std::string&) override {
      return std::vector<std::string>{address_, "127.0.0.1:1"};
    }

   private:
    const std::string address_;
  };
  for (const bool by_name : {true, false}) {
    servers_.Sign("store", by_name ? "DNS:stores.invalid" : "IP:127.0.0.1");
    target_store_.Start(StoreFiles());
    Client by_address(Options());
    EXPECT_EQ(Call(by_address), by_name ? absl::StatusCode::kUnavailable : absl::StatusCode::kOk);
    ClientOptions options = Options();
    options.target = "stores.invalid:8354";
    const auto client =
        client_internal::MakeDeliveryClient(options, std::make_shared<ToTheStore>(target_store_.target()));
    if (by_name) {
      Await([&] { return client->connected(); }, "the connection");
    } else {
      const auto not_believed = [&] {
        Loss loss;
        const auto transaction = client->Begin(v1::Begin(), &loss);
        Await([&] { return !loss.why().empty(); }, "the loss");
        return loss.why().find(target_store_.target()) != std::string::npos;
      };
      Await(not_believed, "the store not to be believed");
      EXPECT_FALSE(client->connected());
    }
    target_store_.Stop();
  }
}

TEST_F(CredentialsTest, BelieveNoStoreInPlaintext) {
  target_store_.Start();
  Client client(Options());
  EXPECT_EQ(Call(client), absl::StatusCode::kUnavailable);
}

TEST_F(CredentialsTest, OfNoUseAreNamedAtEachCallUntilTheyAre) {
  target_store_.Start(StoreFiles());
  folder_.Write("mx1.key", "no key");
  Client client(Options());
  const absl::Status status = client.GetCapacity({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("mx1.key`: no private key"));
  clients_.Sign("mx1");
  Await([&] { return client.GetCapacity({}).ok(); }, "the new pair");
}

TEST_F(CredentialsTest, AreReadAgainOnceTheyChange) {
  target_store_.Start(StoreFiles());
  Client client(Options());
  ASSERT_EQ(Call(client), absl::StatusCode::kOk);
  const std::string token = access::NewToken();
  folder_.Write("token", token);
  const TestPair mx2 = clients_.Sign("mx2");
  folder_.Write("mx1.pem", *ReadSmallFile(mx2.certificate));
  folder_.Write("mx1.key", *ReadSmallFile(mx2.key));
  Await([&] { return Call(client) == absl::StatusCode::kOk && Is(target_store_.seen(), "mx2"); }, "mx2");
  EXPECT_TRUE(target_store_.seen().token == access::TokenHash::Of(token));
  // What is broken changes nothing.
  folder_.Write("token", "short");
  folder_.Write("mx1.key", "no key");
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(Call(client), absl::StatusCode::kOk);
    EXPECT_TRUE(Is(target_store_.seen(), "mx2"));
    EXPECT_TRUE(target_store_.seen().token == access::TokenHash::Of(token));
  }
}

TEST_F(CredentialsTest, OfADeliveryClientCountForItsNextConnection) {
  target_store_.Start(StoreFiles());
  const auto client = DeliveryClient::Connect(Options());
  Await([&] { return client->connected() && target_store_.streams() == 1; }, "the stream");
  EXPECT_TRUE(Is(target_store_.seen(), "mx1"));
  // All is new: the store's authority, and who we are.
  const TestAuthority others(folder_, "others");
  folder_.Write("servers.pem", *ReadSmallFile(others.certificate()));
  const TestPair mx2 = clients_.Sign("mx2");
  folder_.Write("mx1.pem", *ReadSmallFile(mx2.certificate));
  folder_.Write("mx1.key", *ReadSmallFile(mx2.key));
  others.Sign("store", "IP:127.0.0.1");
  EXPECT_TRUE(client->connected());
  EXPECT_EQ(target_store_.streams(), 1);
  target_store_.Stop();
  target_store_.Start(StoreFiles());
  Await([&] { return client->connected() && target_store_.streams() == 1; }, "the new connection");
  EXPECT_TRUE(Is(target_store_.seen(), "mx2"));
}

TEST_F(CredentialsTest, OfADeliveryClientThatIsNotLetInAreTriedAgain) {
  target_store_.Allow([](const access::Credentials&) { return false; });
  target_store_.Start(StoreFiles());
  const auto client = DeliveryClient::Connect(Options());
  Await([&] { return Is(target_store_.seen(), "mx1"); }, "an attempt");
  EXPECT_FALSE(client->connected());
  target_store_.Allow(nullptr);
  Await([&] { return client->connected(); }, "being let in");
}

TEST_F(CredentialsTest, AreCheckedForPrograms) {
  const auto check = [](StoreCredentials c, const char* target = "store.example.org:8354") {
    return CheckCredentials(c, target);
  };
  EXPECT_TRUE(check({}).ok());
  EXPECT_TRUE(check(credentials_).ok());
  StoreCredentials c = credentials_;
  c.key_file.clear();
  EXPECT_EQ(check(c).message(), "the certificate for the store needs its key");
  c = credentials_;
  c.certificate_file.clear();
  EXPECT_EQ(check(c).message(), "the key for the store needs its certificate");
  c = credentials_;
  c.ca_file.clear();
  EXPECT_THAT(std::string(check(c).message()),
              StartsWith("the certificate for the store needs an authority"));
  c = {.ca_file = "", .certificate_file = "", .key_file = "", .token_file = folder_.At("token")};
  for (const char* target :
       {"store.example.org:8354", "192.0.2.1:8354", "[2001:db8::1]:8354", "127.example.org:1"}) {
    EXPECT_EQ(check(c, target).code(), absl::StatusCode::kInvalidArgument) << target;
    EXPECT_THAT(std::string(check(c, target).message()), StartsWith("the token would go in the clear to "));
  }
  for (const char* target :
       {"127.0.0.1:8354", "[::1]:8354", "localhost:8354", "unix:/run/store", "dns:///localhost:1"}) {
    EXPECT_TRUE(check(c, target).ok()) << target;
  }
  c = credentials_;
  c.token_file = folder_.Write("short", "short\n");
  EXPECT_THAT(std::string(check(c).message()),
              HasSubstr("short`: a token has 22 to 512 characters, this one 5"));
  c.token_file = "/nonexistent";
  EXPECT_EQ(check(c).message(), "`/nonexistent`: No such file or directory");
  c = credentials_;
  const TestPair expired = clients_.Sign("expired", "", /*expired=*/true);
  c.certificate_file = expired.certificate;
  c.key_file = expired.key;
  EXPECT_EQ(check(c).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(check(c).message()), HasSubstr("expired.pem`: the certificate has expired on 2"));
}

}  // namespace
}  // namespace restante
