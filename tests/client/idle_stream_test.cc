// Streams of data that stop, and those that are only slow.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "restante/client.h"
#include "restante/v1/message.grpc.pb.h"

namespace restante {
namespace {

constexpr std::chrono::milliseconds kDeadline{300};
constexpr int kPieces = 12;

// Gives a piece of a message and then no more (`silent`), until it is not wanted any more; or
// many, with pauses, which together last longer than the client waits for one.
class SlowMessages final : public v1::MessageService::Service {
 public:
  SlowMessages() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  std::string target() const { return absl::StrCat("127.0.0.1:", port_); }

  grpc::Status ReadMessage(grpc::ServerContext* context, const v1::ReadMessageRequest* request,
                           grpc::ServerWriter<v1::ReadMessageResponse>* writer) override {
    const bool silent = request->name() == "silent";
    for (int i = 0; i < (silent ? 1 : kPieces); ++i) {
      if (i > 0) absl::SleepFor(absl::Milliseconds(60));
      v1::ReadMessageResponse response;
      response.set_chunk("piece ");
      writer->Write(response);
    }
    while (silent && !context->IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
    return grpc::Status::OK;
  }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

class IdleStream : public testing::Test {
 protected:
  std::unique_ptr<Client> NewClient() {
    ClientOptions options;
    options.target = store_.target();
    options.deadline = kDeadline;
    return std::make_unique<Client>(options);
  }
  static absl::Status Read(Client& client, const std::string& name, std::string* text) {
    v1::ReadMessageRequest request;
    request.set_name(name);
    return client.ReadMessage(request, [&](absl::string_view piece) {
      absl::StrAppend(text, piece);
      return absl::OkStatus();
    });
  }

  SlowMessages store_;
};

TEST_F(IdleStream, OneOnWhichNothingComesIsGivenUp) {
  const std::unique_ptr<Client> client = NewClient();
  std::string text;
  const absl::Time begun = absl::Now();
  const absl::Status status = Read(*client, "silent", &text);
  EXPECT_GE(absl::Now() - begun, absl::FromChrono(kDeadline));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(status.message(), "nothing came for 300 ms");
  EXPECT_EQ(text, "piece ");
}

TEST_F(IdleStream, OneThatIsSlowIsWaitedForHoweverLongItLasts) {
  const std::unique_ptr<Client> client = NewClient();
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      std::string text;
      const absl::Status status = Read(*client, "slow", &text);
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(text.size(), kPieces * std::string("piece ").size());
    });
    // Beside one that is given up.
    readers.emplace_back([&] {
      std::string text;
      EXPECT_TRUE(absl::IsDeadlineExceeded(Read(*client, "silent", &text)));
    });
  }
  for (std::thread& reader : readers) reader.join();
}

TEST_F(IdleStream, AClientMayGoAsSoonAsItsStreamsHaveEnded) {
  for (int i = 0; i < 3; ++i) {
    const std::unique_ptr<Client> client = NewClient();
    std::string text;
    EXPECT_TRUE(Read(*client, "slow", &text).ok());
    // (The watch is still to ring.)
  }
}

}  // namespace
}  // namespace restante
