// What is posted, how it is signed, and what becomes of answers that are none.
#include "server/ops/webhook.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/engine/memory/memory_engine.h"
#include "server/mail/event_feed.h"
#include "tests/embedded/small_store.h"

namespace restante::ops {
namespace {

using engine::PartitionId;
namespace stored = engine::stored;

TEST(WebhookSignature, IsAnHmacOfTimeAndBody) {
  // printf '1700000000.{}' | openssl dgst -sha256 -hmac 'a secret of 16 or more'
  EXPECT_EQ(WebhookSignature("a secret of 16 or more", 1'700'000'000, "{}"),
            "t=1700000000,v1=3ef76570e6e2c0caea5e391e3a49c203e74964e3bedf1cd0e1867a6e09703bd9");
}

TEST(WebhookBody, IsTheEventInProtobufsJson) {
  stored::Event event;
  event.set_sequence(17);
  event.set_time_us(1'700'000'000'500'000);
  event.mutable_quota()->set_name("al\"ice@example.org");
  event.mutable_quota()->set_percent(90);
  event.mutable_quota()->set_used_bytes(900);
  event.mutable_quota()->mutable_max_bytes()->set_kind(stored::Limit::VALUE);
  event.mutable_quota()->mutable_max_bytes()->set_value(1000);
  EXPECT_EQ(WebhookBody(event),
            R"({"sequence":"17","quota":{"resource":"mailboxes/al%22ice@example.org","percent":90,)"
            R"("previous_percent":0,"used_bytes":"900","used_messages":"0","max_bytes":{"kind":"VALUE",)"
            R"("value":"1000"}},"time":"2023-11-14T22:13:20.500Z"})");
}

TEST(WebhookUrl, IsHttpWithHostAndPath) {
  for (const char* url :
       {"http://example.org", "https://example.org:8443/a?b=c", "http://[::1]:80/", "http://h?q"}) {
    EXPECT_TRUE(CheckWebhookUrl(url).ok()) << CheckWebhookUrl(url);
  }
  for (const char* url :
       {"", "example.org", "ftp://example.org", "http://", "http:///path", "http://:80/", "http://[::1",
        "http://[]/", "http://[::1]80/", "http://h:0", "http://h:65536", "http://h:+80",
        "http://h:", "http://a b/", "http://h/#f", "http://user:s3cret@h/", "http://h/\r\nX: y"}) {
    EXPECT_FALSE(CheckWebhookUrl(url).ok()) << url;
  }
  EXPECT_FALSE(absl::StrContains(CheckWebhookUrl("http://user:s3cret@h/").message(), "s3cret"));
}

class WebhookTest : public testing::Test {
 protected:
  WebhookTest() : feed_(engine_.get()) {}
  ~WebhookTest() override {
    hook_.reset();
    feed_.Stop();
  }

  // One event for each call.
  void MakeEvent() {
    made_++;
    const auto status = embedded::Await<absl::Status>([&](auto done) {
      engine_->Update(
          PartitionId::Mailbox(engine_->NewNumber()), {},
          [&](const engine::View&) -> absl::StatusOr<engine::Verdict> {
            engine::Change change;
            stored::MailboxHead& head = *change.head.mutable_mailbox();
            head.set_address(absl::StrCat("m", made_, "@example.org"));
            head.mutable_max_bytes()->set_kind(stored::Limit::VALUE);
            head.mutable_max_bytes()->set_value(10);
            head.set_used_bytes(9);
            return change;
          },
          std::move(done));
    });
    ASSERT_TRUE(status.ok());
  }
  void StartHook(std::string secret_file = "") {
    Webhook::Options options;
    options.url = absl::StrCat("http://127.0.0.1:", port_, "/hook");
    options.secret_file = std::move(secret_file);
    options.timeout = absl::Milliseconds(300);
    options.first_pause = absl::Milliseconds(1);
    options.longest_pause = absl::Milliseconds(20);
    auto hook = Webhook::Start(std::move(options), &feed_);
    ASSERT_TRUE(hook.ok()) << hook.status();
    hook_ = *std::move(hook);
    while (!Wait(feed_.CursorOf("webhook"))->has_value()) absl::SleepFor(absl::Milliseconds(1));
  }
  void Await(const std::function<bool()>& what) {
    while (!what()) absl::SleepFor(absl::Milliseconds(1));
  }

  std::unique_ptr<engine::Engine> engine_ = engine::NewMemoryEngine({});
  mail::EventFeed feed_;
  int made_ = 0;
  int port_ = 0;
  std::unique_ptr<Webhook> hook_;
};

// Answers as it is told, one answer a request; the last one for ever.
class Receiver {
 public:
  struct Answer {
    int status = 200;
    size_t octets = 0;    // Of the body.
    bool in_time = true;  // Else after the webhook has given up.
  };
  struct Post {
    std::string body, signature, type;
  };

  explicit Receiver(std::vector<Answer> answers) : answers_(std::move(answers)) {
    server_.Post("/hook", [this](const httplib::Request& request, httplib::Response& response) {
      Answer answer;
      {
        absl::MutexLock lock(&mutex_);
        answer = answers_[std::min(posts_.size(), answers_.size() - 1)];
        posts_.push_back({request.body, request.get_header_value("Restante-Signature"),
                          request.get_header_value("Content-Type")});
      }
      if (!answer.in_time) absl::SleepFor(absl::Milliseconds(900));
      response.status = answer.status;
      response.set_content(std::string(answer.octets, 'x'), "text/plain");
      if (answer.status == 302) response.set_header("Location", "/elsewhere");
    });
    // It waits for idle connections before it ends.
    server_.set_keep_alive_max_count(1);
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) absl::SleepFor(absl::Milliseconds(1));
  }
  ~Receiver() {
    server_.stop();
    thread_.join();
  }

  int port() const { return port_; }
  std::vector<Post> posts() {
    absl::MutexLock lock(&mutex_);
    return posts_;
  }

 private:
  httplib::Server server_;
  int port_ = 0;
  absl::Mutex mutex_;
  const std::vector<Answer> answers_;
  std::vector<Post> posts_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

using Answers = std::vector<Receiver::Answer>;

// The numbers of the events, as they were posted.
std::string SequencesOf(const std::vector<Receiver::Post>& posts) {
  std::string all;
  for (const Receiver::Post& post : posts) {
    const size_t at = post.body.find(':') + 2;
    absl::StrAppend(&all, all.empty() ? "" : " ", post.body.substr(at, post.body.find('"', at) - at));
  }
  return all;
}

TEST_F(WebhookTest, PostsEachEventInOrderFromItsFirstStartOn) {
  Receiver receiver(Answers{{.status = 200}});
  port_ = receiver.port();
  MakeEvent();
  StartHook();
  MakeEvent();
  MakeEvent();
  Await([&] { return hook_->figures().handled == 2; });
  EXPECT_EQ(SequencesOf(receiver.posts()), "2 3");
  EXPECT_EQ(receiver.posts()[0].type, "application/json");
  EXPECT_EQ(receiver.posts()[0].signature, "");
  EXPECT_EQ(hook_->figures().backlog, 0u);
}

TEST_F(WebhookTest, WhatIsNotAnsweredWellIsPostedAgainAndHoldsUpTheRest) {
  Receiver receiver(Answers{{.status = 500},
                            {.status = 302},
                            {.in_time = false},
                            {.status = 404},
                            {.status = 299},
                            {.status = 200}});
  port_ = receiver.port();
  StartHook();
  MakeEvent();
  MakeEvent();
  Await([&] { return hook_->figures().handled == 2; });
  EXPECT_EQ(SequencesOf(receiver.posts()), "1 1 1 1 1 2");
  EXPECT_EQ(hook_->figures().failed, 4u);
}

TEST_F(WebhookTest, AReceiverThatTalksOnIsAnAnswerAllTheSame) {
  Receiver receiver(Answers{{.status = 200, .octets = 10 << 20}});
  port_ = receiver.port();
  StartHook();
  MakeEvent();
  MakeEvent();
  Await([&] { return hook_->figures().handled == 2; });
  EXPECT_EQ(SequencesOf(receiver.posts()), "1 2");
}

TEST_F(WebhookTest, GoesOnWhereTheLastOneEnded) {
  {
    Receiver away(Answers{{.status = 503}});
    port_ = away.port();
    StartHook();
    MakeEvent();
    Await([&] { return hook_->figures().failed > 1; });
    hook_.reset();
  }
  MakeEvent();
  Receiver receiver(Answers{{.status = 200}});
  port_ = receiver.port();
  StartHook();
  Await([&] { return hook_->figures().handled == 2; });
  hook_.reset();
  StartHook();
  MakeEvent();
  Await([&] { return hook_->figures().handled == 1; });
  EXPECT_EQ(SequencesOf(receiver.posts()), "1 2 3");
}

TEST_F(WebhookTest, SignsWithTheSecretAndReadsAnotherOne) {
  embedded::Directory files;
  const std::string file = files.path / "secret";
  const auto write = [&](const std::string& secret) { std::ofstream(file) << secret << "\r\nsecond line\n"; };
  write("a secret of 16 or more");
  Receiver receiver(Answers{{.status = 200}});
  port_ = receiver.port();
  StartHook(file);
  MakeEvent();
  Await([&] { return hook_->figures().handled == 1; });
  write("short");
  hook_->Reload();
  MakeEvent();
  Await([&] { return hook_->figures().handled == 2; });
  write("another secret of 16 or more");
  hook_->Reload();
  MakeEvent();
  Await([&] { return hook_->figures().handled == 3; });
  const auto posts = receiver.posts();
  const std::string secrets[] = {"a secret of 16 or more", "a secret of 16 or more",
                                 "another secret of 16 or more"};
  for (size_t i = 0; i < 3; ++i) {
    const int64_t time = std::stoll(posts[i].signature.substr(2));
    EXPECT_EQ(posts[i].signature, WebhookSignature(secrets[i], time, posts[i].body)) << i;
    EXPECT_LE(std::abs(time - absl::ToUnixSeconds(absl::Now())), 3600);
  }
}

TEST_F(WebhookTest, EndsAtOnceWhileNobodyAnswers) {
  Receiver receiver(Answers{{.status = 500}});
  port_ = receiver.port();
  StartHook();
  MakeEvent();
  Await([&] { return hook_->figures().failed > 0; });
  hook_.reset();
}

}  // namespace
}  // namespace restante::ops
