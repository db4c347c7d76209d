// StoreService.WatchEvents.
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/rpc/services_fixture.h"

namespace restante {
namespace {

constexpr int64_t kSecond = 1'000'000;

class WatchEventsTest : public ServicesTest {
 protected:
  WatchEventsTest() {
    EXPECT_TRUE(CreateDomain("domains/example.org").ok());
    EXPECT_TRUE(CreateMailbox(alice_, nullptr, [](auto& request) {
                  request.mutable_mailbox()->mutable_max_bytes()->set_kind(v1::Limit::VALUE);
                  request.mutable_mailbox()->mutable_max_bytes()->set_value(100);
                }).ok());
  }

  // A stream and what it says.
  struct Watcher {
    explicit Watcher(v1::StoreService::Stub& stub, const v1::WatchEventsRequest& request)
        : reader(stub.WatchEvents(&context, request)) {}

    // The next `count` events: `1 0>80; 2 80>90`.
    std::string Next(size_t count) {
      while (events.size() < count) {
        v1::WatchEventsResponse response;
        if (!reader->Read(&response)) return "the stream has ended";
        sequence = response.sequence();
        events.insert(events.end(), response.events().begin(), response.events().end());
      }
      std::vector<std::string> texts;
      for (; count > 0; --count) {
        const v1::StoreEvent& event = events.front();
        texts.push_back(absl::StrCat(event.sequence(), " ", event.quota().previous_percent(), ">",
                                     event.quota().percent()));
        last = event;
        events.pop_front();
      }
      return absl::StrJoin(texts, "; ");
    }
    // To its first response.
    void Connect() {
      v1::WatchEventsResponse response;
      ASSERT_TRUE(reader->Read(&response));
      sequence = response.sequence();
      events.insert(events.end(), response.events().begin(), response.events().end());
    }
    grpc::Status End() {
      v1::WatchEventsResponse response;
      while (reader->Read(&response)) {
      }
      return reader->Finish();
    }

    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>> reader;
    std::deque<v1::StoreEvent> events;
    v1::StoreEvent last;
    uint64_t sequence = 0;
  };
  std::unique_ptr<Watcher> Watch(const v1::WatchEventsRequest& request = {}) {
    return std::make_unique<Watcher>(*store_, request);
  }
  void Fill(size_t bytes) {
    v1::Message message;
    ASSERT_TRUE(Append(alice_, std::string(bytes, 'x'), &message).ok());
  }
  static v1::WatchEventsRequest After(uint64_t sequence) {
    v1::WatchEventsRequest request;
    request.set_after_sequence(sequence);
    return request;
  }

  const std::string alice_ = "mailboxes/alice@example.org";
};

TEST_F(WatchEventsTest, TellsWhatIsKeptAndThenWhatComes) {
  Fill(85);
  const auto watcher = Watch();
  EXPECT_EQ(watcher->Next(1), "1 0>80");
  EXPECT_EQ(watcher->last.quota().resource(), alice_);
  EXPECT_EQ(watcher->last.quota().used_bytes(), 85u);
  EXPECT_EQ(watcher->last.quota().used_messages(), 1u);
  EXPECT_EQ(watcher->last.quota().max_bytes().value(), 100u);
  EXPECT_EQ(watcher->last.quota().max_messages().kind(), v1::Limit::UNLIMITED);
  EXPECT_EQ(watcher->last.time().seconds(), clock_.WallMicros() / kSecond);
  Fill(5);
  EXPECT_EQ(watcher->Next(1), "2 80>90");
  Fill(5);
  Fill(5);
  EXPECT_EQ(watcher->Next(2), "3 90>95; 4 95>100");
  EXPECT_EQ(watcher->sequence, 4u);
  watcher->context.TryCancel();
  EXPECT_EQ(watcher->End().error_code(), StatusCode::CANCELLED);
}

TEST_F(WatchEventsTest, GoesOnBehindTheLastAndMissesNothing) {
  Fill(85);
  auto watcher = Watch();
  watcher->Next(1);
  const uint64_t last = watcher->sequence;
  watcher->context.TryCancel();
  watcher->End();
  Fill(5);
  Fill(5);
  EXPECT_EQ(Watch(After(last))->Next(2), "2 80>90; 3 90>95");
  EXPECT_EQ(Watch(After(0))->Next(3), "1 0>80; 2 80>90; 3 90>95");
}

TEST_F(WatchEventsTest, TellsOnlyWhatIsWanted) {
  Fill(85);
  v1::WatchEventsRequest request;
  request.set_only_new(true);
  const auto newest = Watch(request);
  newest->Connect();
  EXPECT_EQ(newest->sequence, 1u);
  request.set_only_new(false);
  request.add_kinds(v1::EVENT_KIND_DISK);
  const auto disk = Watch(request);
  disk->Connect();
  EXPECT_TRUE(disk->events.empty());
  EXPECT_EQ(disk->sequence, 1u) << "what is not wanted is passed";
  Fill(5);
  EXPECT_EQ(newest->Next(1), "2 80>90");
  request.add_kinds(static_cast<v1::EventKind>(9));
  ExpectInvalid(Watch(request)->End(), "kinds");
}

TEST_F(WatchEventsTest, SaysSoWhereSomeAreNoLongerKept) {
  Fill(85);
  Fill(5);
  clock_.Advance(static_cast<int64_t>(engine::kEventRetentionSeconds) * kSecond);
  Fill(5);
  EXPECT_EQ(Watch(After(2))->Next(1), "3 90>95");
  EXPECT_EQ(Watch()->Next(1), "3 90>95");
  const grpc::Status dropped = Watch(After(1))->End();
  const Problem problem = ProblemOf(dropped);
  EXPECT_EQ(problem.code, StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(problem.reason, "EVENTS_DROPPED");
  EXPECT_EQ(problem.metadata.at("oldest"), "3");
  EXPECT_EQ(Watch(After(4))->End().error_code(), StatusCode::OUT_OF_RANGE) << "that is none of this store's";
}

TEST_F(WatchEventsTest, ManyWatchersAreToldAndTakeNoThreads) {
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < 200; ++i) {
    watchers.push_back(Watch());
    watchers.back()->Connect();
  }
  EXPECT_EQ(api_->streams().watch_events, 200u);
  Fill(85);
  for (const auto& watcher : watchers) EXPECT_EQ(watcher->Next(1), "1 0>80");
  for (const auto& watcher : watchers) watcher->context.TryCancel();
  for (const auto& watcher : watchers) watcher->End();
  while (api_->streams().watch_events > 0) absl::SleepFor(absl::Milliseconds(1));
}

TEST_F(WatchEventsTest, EndsWhenTheStoreStops) {
  const auto watcher = Watch();
  watcher->Connect();
  events_->Stop();
  EXPECT_EQ(watcher->End().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(Watch()->End().error_code(), StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace restante
