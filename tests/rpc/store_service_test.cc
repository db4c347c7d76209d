// Status, verify, scrub and backup by the API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/rpc/services_fixture.h"

namespace restante {
namespace {

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
  const mail::QuotaDrift::Found drift = messages_->drift().found();
  EXPECT_EQ(drift.mailboxes, 701u) << "alice's, too";
  EXPECT_EQ(drift.bytes, 701u);
  EXPECT_EQ(drift.time_us, clock_.WallMicros());
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
  rpc::Api api(&engine, deliveries_.get(), provisioning_.get(), messages_.get(), events_.get());
  const auto server = *rpc::Server::Start({}, api.methods());
  const auto stub = v1::StoreService::NewStub(server->InProcessChannel());
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

}  // namespace
}  // namespace restante
