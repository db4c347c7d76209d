// Texts that are read ahead, and before it is known whether they are still there.
#include "server/mail/message_text.h"

#include <deque>
#include <string>
#include <utility>

#include "tests/mail/fixture.h"
#include "tests/mail/read_all.h"

namespace restante::mail {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::IsEmpty;

// Answers reads of texts and of mailboxes when it is told to.
class SlowEngine : public MortalEngine {
 public:
  using MortalEngine::MortalEngine;

  void ReadBody(engine::BodyId body, uint64_t offset, uint64_t length,
                engine::Done<absl::StatusOr<std::string>> done) override {
    asked.push_back(offset);
    waiting.push_back([this, body, offset, length, done = std::move(done)]() mutable {
      MortalEngine::ReadBody(body, offset, length, std::move(done));
    });
  }
  void Read(engine::PartitionId partition, std::vector<std::string> keys,
            engine::Done<absl::StatusOr<engine::ReadResult>> done) override {
    if (!holds_mailboxes || partition.kind != engine::PartitionId::Kind::kMailbox) {
      return MortalEngine::Read(partition, std::move(keys), std::move(done));
    }
    mailboxes.push_back([this, partition, keys = std::move(keys), done = std::move(done)]() mutable {
      MortalEngine::Read(partition, std::move(keys), std::move(done));
    });
  }
  using Waiting = std::deque<absl::AnyInvocable<void()>>;
  static void Answer(Waiting& some) {
    Waiting now = std::exchange(some, {});
    for (auto& one : now) one();
  }
  void AnswerAll() {
    while (!waiting.empty() || !mailboxes.empty()) {
      Answer(mailboxes);
      Answer(waiting);
    }
  }

  bool holds_mailboxes = false;
  std::vector<uint64_t> asked;  // Offsets of texts.
  Waiting waiting, mailboxes;
};

class MessageTextTest : public StoreTest {
 protected:
  MessageTextTest() {
    messages_ = std::make_unique<Messages>(engine_.get(), 1 << 24, &clock_);
    EXPECT_TRUE(Domain("example.org").ok());
    EXPECT_TRUE(Mailbox("alice@example.org").ok());
    for (size_t i = 0; i < text_.size(); ++i) text_[i] = static_cast<char>('a' + i / 1000 % 26);
    EXPECT_TRUE(Store("alice@example.org", text_).ok());
  }
  static constexpr uint64_t kChunk = kMaxChunk;
  MessageRef Ref(uint64_t uid = 1) { return {At("alice@example.org"), "INBOX", uid}; }
  engine::BodyId BodyOf(uint64_t uid) { return engine::BodyId{Get(messages_->Get(Ref(uid)))->entry.body()}; }
  // Begins to read; the answer is there when everything was answered.
  std::optional<absl::StatusOr<std::string>>& Begin(uint64_t uid = 1, uint64_t offset = 0,
                                                    uint64_t length = UINT64_MAX) {
    read_.reset();
    Start<absl::StatusOr<std::string>>(ReadAll(&over_slow_, Ref(uid), offset, length),
                                       [this](absl::StatusOr<std::string> text) { read_ = std::move(text); });
    return read_;
  }

  std::string text_ = std::string(6 * kChunk + 10, ' ');
  SlowEngine slow_{memory_.get()};
  Messages over_slow_{&slow_, 1 << 24, &clock_};
  std::optional<absl::StatusOr<std::string>> read_;
};

TEST_F(MessageTextTest, ThreeChunksAreOnTheirWayBehindTheOneThatIsAwaited) {
  Begin();
  EXPECT_THAT(slow_.asked, ElementsAre(0, kChunk, 2 * kChunk, 3 * kChunk));
  // Whichever comes first: none is given before it is its turn.
  for (int i : {3, 2, 1}) slow_.waiting[static_cast<size_t>(i)]();
  EXPECT_EQ(slow_.asked.size(), 4u);
  slow_.waiting[0]();
  slow_.waiting.erase(slow_.waiting.begin(), slow_.waiting.begin() + 4);
  EXPECT_EQ(slow_.asked.size(), 7u);
  slow_.AnswerAll();
  ASSERT_TRUE(read_ && read_->ok());
  EXPECT_TRUE(**read_ == text_);
  EXPECT_EQ(slow_.asked.size(), 7u);
}

TEST_F(MessageTextTest, ARangeIsReadAndNoMoreThanThat) {
  Begin(1, 5, kChunk + 1);
  EXPECT_THAT(slow_.asked, ElementsAre(5, kChunk + 5));
  slow_.AnswerAll();
  ASSERT_TRUE(read_ && read_->ok());
  EXPECT_TRUE(**read_ == text_.substr(5, kChunk + 1));
}

TEST_F(MessageTextTest, ABodyThatIsShorterThanItsEntrySaysIsDamaged) {
  MessageText text(memory_.get(), BodyOf(1), text_.size() + 1, 6 * kChunk, UINT64_MAX);
  const auto octets = Get(text.Next());
  EXPECT_EQ(octets.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(octets.status().message(), "its text ends at 1572874 of at least 1572875 octets");
}

TEST_F(MessageTextTest, WhatIsDroppedOnItsWayMayStillBeAnswered) {
  { const MessageText text(&slow_, BodyOf(1), text_.size(), 0, UINT64_MAX); }
  EXPECT_EQ(slow_.waiting.size(), 4u);
  slow_.AnswerAll();
}

TEST_F(MessageTextTest, OneThatWasLookedAtIsReadBesideItsMailbox) {
  ASSERT_TRUE(Get(over_slow_.List({At("alice@example.org"), {}}, 0, 10, {})).ok());
  slow_.holds_mailboxes = true;
  Begin(1, 10, 20);
  EXPECT_EQ(slow_.mailboxes.size(), 1u);
  EXPECT_THAT(slow_.asked, ElementsAre(10));
  SlowEngine::Answer(slow_.waiting);
  EXPECT_FALSE(read_);
  SlowEngine::Answer(slow_.mailboxes);
  ASSERT_TRUE(read_ && read_->ok());
  EXPECT_TRUE(**read_ == text_.substr(10, 20));
  EXPECT_THAT(slow_.asked, ElementsAre(10));
}

TEST_F(MessageTextTest, OneThatWasExpungedSinceIsNotGiven) {
  ASSERT_TRUE(Get(over_slow_.Get(Ref())).ok());
  Begin(1, 0, 5);
  slow_.AnswerAll();
  ASSERT_TRUE(read_ && read_->ok());
  // (By somebody else: the text may even be there still.)
  ASSERT_TRUE(Get(messages_->Delete({At("alice@example.org"), {}}, {1})).ok());
  slow_.asked.clear();
  Begin(1, 0, 5);
  EXPECT_THAT(slow_.asked, ElementsAre(0));
  slow_.AnswerAll();
  ASSERT_TRUE(read_);
  EXPECT_EQ(read_->status().code(), StatusCode::kNotFound);
}

// A mailbox that was made anew gives the same UIDs to other messages.
TEST_F(MessageTextTest, AnotherOfTheSameNameIsReadItself) {
  Begin(1, 0, 5);
  slow_.AnswerAll();
  ASSERT_TRUE(Get(provisioning_->DeleteMailbox(At("alice@example.org"), "", /*force=*/true)).ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  ASSERT_TRUE(Store("alice@example.org", "another text").ok());
  Begin();
  slow_.AnswerAll();
  ASSERT_TRUE(read_ && read_->ok());
  EXPECT_EQ(**read_, "another text");
  EXPECT_EQ(Begin(1, 100)->status().code(), StatusCode::kOutOfRange);
}

TEST_F(MessageTextTest, AnEmptyTextIsNoRead) {
  ASSERT_TRUE(Store("alice@example.org", "").ok());
  Begin(2);
  ASSERT_TRUE(read_ && read_->ok());
  EXPECT_EQ(**read_, "");
  EXPECT_THAT(slow_.asked, IsEmpty());
}

}  // namespace
}  // namespace restante::mail
