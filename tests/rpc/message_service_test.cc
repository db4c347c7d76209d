// Appending, reading, listing and deleting by the API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/rpc/services_fixture.h"

namespace restante {
namespace {

TEST_F(MessageServiceTest, AMessageGoesInAndComesOutInChunksAndRanges) {
  std::string text(1'000'000, ' ');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * 31 % 26);
  v1::Message message;
  ASSERT_TRUE(Append(alice_, text, &message, [](auto& header) {
                header.mutable_arrival_time()->set_seconds(1234);
              }).ok());
  EXPECT_EQ(message.name(), alice_ + "/folders/INBOX/messages/1");
  EXPECT_EQ(message.size_bytes(), text.size());
  EXPECT_EQ(message.arrival_time().seconds(), 1234);
  EXPECT_EQ(message.recipient(), "alice@example.org");
  EXPECT_EQ(message.transaction_id().size(), 32u);
  v1::GetMessageRequest get;
  get.set_name(message.name());
  v1::Message got;
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::GetMessage, get, &got).ok());
  EXPECT_EQ(got.SerializeAsString(), message.SerializeAsString());

  std::string read;
  ASSERT_TRUE(Read(message.name(), 0, 0, &read).ok());
  EXPECT_TRUE(read == text);
  ASSERT_TRUE(Read(message.name(), 262'143, 3, &read).ok());
  EXPECT_EQ(read, text.substr(262'143, 3));
  ASSERT_TRUE(Read(message.name(), 999'990, UINT64_MAX, &read).ok());
  EXPECT_EQ(read, text.substr(999'990));
  ASSERT_TRUE(Read(message.name(), 1'000'000, 0, &read).ok());
  EXPECT_EQ(read, "");
  ExpectProblem(Read(message.name(), 1'000'001, 0, &read), StatusCode::OUT_OF_RANGE, "OUT_OF_RANGE",
                message.name());
  ExpectProblem(Read(alice_ + "/folders/INBOX/messages/2", 0, 0, &read), StatusCode::NOT_FOUND, "NOT_FOUND",
                alice_ + "/folders/INBOX/messages/2");
  ExpectInvalid(Read(alice_, 0, 0, &read), "name");
}

TEST_F(MessageServiceTest, AReaderThatGoesAwayEndsTheReading) {
  v1::Message message;
  ASSERT_TRUE(Append(alice_, std::string(2'000'000, 'x'), &message).ok());
  v1::ReadMessageRequest request;
  request.set_name(message.name());
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    auto reader = stub_->ReadMessage(&context, request);
    v1::ReadMessageResponse response;
    ASSERT_TRUE(reader->Read(&response));
    context.TryCancel();
    while (reader->Read(&response)) {
    }
    EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);
  }
}

TEST_F(MessageServiceTest, AnAppendWithoutRoomExplainsItself) {
  v1::Mailbox mailbox;
  ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  mailbox.mutable_max_bytes()->set_kind(v1::Limit::VALUE);
  mailbox.mutable_max_bytes()->set_value(307200);
  ASSERT_TRUE(UpdateMailbox(mailbox, {"max_bytes"}, &mailbox).ok());
  v1::Message message;
  ASSERT_TRUE(Append(alice_, std::string(306176, 'x'), &message).ok());
  const grpc::Status status = Append(alice_, std::string(20480, 'x'), &message);
  EXPECT_EQ(status.error_message(), "mailboxes/alice@example.org: needs 20480 octets, 1024 left of 307200");
  Problem problem = ProblemOf(status);
  EXPECT_EQ(problem.code, StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(problem.reason, "MAILBOX_FULL");
  EXPECT_EQ(problem.metadata["outcome"], "OUTCOME_MAILBOX_FULL");
  EXPECT_EQ(problem.metadata["scope"], "MAILBOX");
  EXPECT_EQ(problem.metadata["limit"], "307200");
  EXPECT_EQ(problem.metadata["used"], "306176");
  EXPECT_EQ(problem.metadata["reserved"], "0");
  EXPECT_EQ(problem.metadata["needed"], "20480");
  problem = ProblemOf(Append(alice_, std::string(kMaxMessage + 1, 'x'), &message));
  EXPECT_EQ(problem.metadata["outcome"], "OUTCOME_MESSAGE_TOO_LARGE");
  mailbox.clear_etag();
  mailbox.set_state(v1::Mailbox::HOLD);
  ASSERT_TRUE(UpdateMailbox(mailbox, {"state"}, &mailbox).ok());
  EXPECT_EQ(ProblemOf(Append(alice_, "x", &message)).metadata["outcome"], "OUTCOME_MAILBOX_ON_HOLD");
  EXPECT_TRUE(Append(alice_, "x", &message, [](auto& h) { h.set_while_on_hold(true); }).ok());
  EXPECT_EQ(engine_->Figures()["open_transactions"], 0u);
}

TEST_F(MessageServiceTest, AnAppendThatIsWrongStoresNothing) {
  v1::Message message;
  ExpectInvalid(Append("mailboxes/", "x", &message), "header.parent");
  ExpectInvalid(Append(alice_, "", &message, [](auto& h) { h.clear_size_bytes(); }), "header.size_bytes");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.set_request_id("x"); }), "header.request_id");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.set_size_bytes(2); }), "header.size_bytes");
  ExpectInvalid(Append(alice_, "xxx", &message, [](auto& h) { h.set_size_bytes(2); }), "chunk");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.set_crc32c(1); }), "header.crc32c");
  for (const char* folder : {"a%2F%2Fb", "%2Fa", "a%2F", "a%09", "%C2%85", "%FF"}) {
    ExpectInvalid(Append(alice_ + "/folders/" + folder, "x", &message), "header.parent");
  }
  ExpectInvalid(Append(alice_ + "/folders/" + std::string(256, 'f'), "x", &message), "header.parent");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.add_flags(v1::FLAG_UNSPECIFIED); }),
                "header.flags");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.add_flags(static_cast<v1::Flag>(99)); }),
                "header.flags");
  for (const std::string& keyword : {std::string(), std::string("a b"), std::string("a]"),
                                     std::string("\\Seen"), std::string("\xc3\xa9"), std::string(256, 'k')}) {
    ExpectInvalid(Append(alice_, "x", &message, [&](auto& h) { h.add_keywords(keyword); }),
                  "header.keywords");
  }
  ExpectInvalid(Append(alice_, "x", &message,
                       [](auto& h) {
                         for (int i = 0; i < 101; ++i) h.add_keywords(absl::StrCat("k", i));
                       }),
                "header.keywords");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.set_sender("a\nb"); }), "header.sender");
  ExpectInvalid(Append(alice_, "x", &message, [](auto& h) { h.set_recipient(std::string(1025, 'r')); }),
                "header.recipient");
  {
    grpc::ClientContext context;
    auto writer = stub_->AppendMessage(&context, &message);
    writer->WritesDone();
    ExpectInvalid(writer->Finish(), "header");
  }
  {
    grpc::ClientContext context;
    auto writer = stub_->AppendMessage(&context, &message);
    v1::AppendMessageRequest request;
    request.set_chunk("x");
    writer->Write(request);
    ExpectInvalid(writer->Finish(), "header");
  }
  {
    grpc::ClientContext context;
    auto writer = stub_->AppendMessage(&context, &message);
    v1::AppendMessageRequest request;
    request.mutable_header()->set_parent(alice_);
    request.mutable_header()->set_size_bytes(5);
    ASSERT_TRUE(writer->Write(request));
    writer->Write(request);
    ExpectInvalid(writer->Finish(), "chunk");
  }
  v1::Mailbox mailbox;
  ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  EXPECT_EQ(mailbox.usage().messages(), 0u);
  EXPECT_EQ(mailbox.usage().reserved_bytes(), 0u);
}

TEST_F(MessageServiceTest, AnAppendBringsFolderFlagsKeywordsAndEnvelope) {
  v1::Message message;
  ASSERT_TRUE(
      Append(alice_ + "/folders/Lists%2Fb%C3%BCro", "hello", &message, [](auto& header) {
        for (const v1::Flag flag : {v1::FLAG_SEEN, v1::FLAG_ANSWERED, v1::FLAG_SEEN, v1::FLAG_PASSED}) {
          header.add_flags(flag);
        }
        for (const char* keyword : {"Junk", "$Label1", "JUNK"}) header.add_keywords(keyword);
        header.set_sender("bob@example.net");
        header.set_recipient("alice+x@example.org");
        header.set_request_id(std::string(16, 'r'));
      }).ok());
  EXPECT_EQ(message.name(), alice_ + "/folders/Lists%2Fb%C3%BCro/messages/1");
  EXPECT_THAT(message.flags(), testing::ElementsAre(v1::FLAG_ANSWERED, v1::FLAG_SEEN, v1::FLAG_PASSED));
  EXPECT_THAT(message.keywords(), testing::ElementsAre("Junk", "$Label1"));
  EXPECT_EQ(message.sender(), "bob@example.net");
  EXPECT_EQ(message.recipient(), "alice+x@example.org");
  EXPECT_EQ(message.request_id(), std::string(16, 'r'));
  v1::GetMessageRequest get;
  get.set_name(message.name());
  v1::Message got;
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::GetMessage, get, &got).ok());
  EXPECT_EQ(got.SerializeAsString(), message.SerializeAsString());
  ASSERT_TRUE(Append(alice_, "", &message).ok()) << "an empty message is one, too";
  EXPECT_EQ(message.name(), alice_ + "/folders/INBOX/messages/2");

  v1::ListMessagesRequest list;
  v1::ListMessagesResponse page;
  list.set_parent(alice_ + "/folders/Lists%2fb%c3%bcro");
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page).ok());
  ASSERT_EQ(page.messages_size(), 1);
  EXPECT_EQ(page.messages(0).uid(), 1u);
  list.set_parent(alice_);
  list.set_after_uid(1);
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page).ok());
  ASSERT_EQ(page.messages_size(), 1);
  EXPECT_EQ(page.messages(0).uid(), 2u);
  list.set_parent(alice_ + "/folders/Sent");
  ExpectProblem(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page), StatusCode::NOT_FOUND,
                "NOT_FOUND", alice_ + "/folders/Sent");
}

TEST_F(MessageServiceTest, ACancelledAppendGivesItsRoomBack) {
  grpc::ClientContext context;
  v1::Message message;
  auto writer = stub_->AppendMessage(&context, &message);
  v1::AppendMessageRequest request;
  request.mutable_header()->set_parent(alice_);
  request.mutable_header()->set_size_bytes(1000);
  ASSERT_TRUE(writer->Write(request));
  v1::Mailbox mailbox;
  do {
    ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  } while (mailbox.usage().reserved_bytes() != 1000);
  EXPECT_EQ(mailbox.usage().reserved_messages(), 1u);
  request.set_chunk(std::string(500, 'x'));
  ASSERT_TRUE(writer->Write(request));
  context.TryCancel();
  EXPECT_EQ(writer->Finish().error_code(), StatusCode::CANCELLED);
  do {
    ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  } while (mailbox.usage().reserved_bytes() != 0);
  EXPECT_EQ(mailbox.usage().messages(), 0u);
}

TEST_F(MessageServiceTest, AnAppendThatSendsNothingIsEnded) {
  rpc::Api impatient(engine_.get(), deliveries_.get(), provisioning_.get(), messages_.get(), events_.get(),
                     absl::Milliseconds(50));
  const auto server = *rpc::Server::Start({}, impatient.methods());
  const auto stub = v1::MessageService::NewStub(server->InProcessChannel());
  grpc::ClientContext context;
  v1::Message message;
  auto writer = stub->AppendMessage(&context, &message);
  v1::AppendMessageRequest request;
  request.mutable_header()->set_parent(alice_);
  request.mutable_header()->set_size_bytes(1000);
  ASSERT_TRUE(writer->Write(request));
  // And nothing more: this waits until the service has enough.
  EXPECT_EQ(writer->Finish().error_code(), StatusCode::CANCELLED);
  v1::Mailbox mailbox;
  do {
    ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  } while (mailbox.usage().reserved_bytes() != 0);
}

TEST_F(MessageServiceTest, ARepeatedAppendIsAnsweredWithTheFirstResult) {
  const auto with_id = [](v1::AppendMessageRequest::Header& header) {
    header.set_request_id(std::string(16, 'q'));
  };
  v1::Message first, second;
  ASSERT_TRUE(Append(alice_, "hello", &first, with_id).ok());
  ASSERT_TRUE(Append(alice_, "hello", &second, with_id).ok());
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  ExpectInvalid(Append(alice_, "hello!", &second, with_id), "header.request_id");
  v1::Mailbox mailbox;
  ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  EXPECT_EQ(mailbox.usage().messages(), 1u);
}

TEST_F(MessageServiceTest, MessagesAreListedAndExpunged) {
  v1::Message message;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Append(alice_, "hello", &message).ok());
  v1::ListMessagesRequest list;
  list.set_parent(alice_ + "/folders/inbox");
  list.set_page_size(3);
  v1::ListMessagesResponse page;
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page).ok());
  ASSERT_EQ(page.messages_size(), 3);
  list.set_page_token(page.next_page_token());
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page).ok());
  ASSERT_EQ(page.messages_size(), 2);
  EXPECT_EQ(page.messages(0).uid(), 4u);
  EXPECT_EQ(page.next_page_token(), "");
  list.set_parent("mailboxes/bob@example.org");
  ExpectInvalid(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page), "page_token");
  list.clear_page_token();
  ExpectProblem(Call(*stub_, &v1::MessageService::Stub::ListMessages, list, &page), StatusCode::NOT_FOUND,
                "NOT_FOUND", "mailboxes/bob@example.org");

  v1::DeleteMessageRequest erase;
  erase.set_name(message.name());
  google::protobuf::Empty empty;
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::DeleteMessage, erase, &empty).ok());
  ExpectProblem(Call(*stub_, &v1::MessageService::Stub::DeleteMessage, erase, &empty), StatusCode::NOT_FOUND,
                "NOT_FOUND", message.name());
  v1::BatchDeleteMessagesRequest batch;
  v1::BatchDeleteMessagesResponse erased;
  batch.set_parent(alice_);
  ExpectInvalid(Call(*stub_, &v1::MessageService::Stub::BatchDeleteMessages, batch, &erased), "uids");
  for (uint64_t uid : {1, 2, 5, 77}) batch.add_uids(uid);
  ASSERT_TRUE(Call(*stub_, &v1::MessageService::Stub::BatchDeleteMessages, batch, &erased).ok());
  EXPECT_EQ(erased.deleted_messages(), 2u);
  EXPECT_EQ(erased.deleted_bytes(), 10u);
  for (uint64_t uid = 100; batch.uids_size() < 1001; ++uid) batch.add_uids(uid);
  ExpectInvalid(Call(*stub_, &v1::MessageService::Stub::BatchDeleteMessages, batch, &erased), "uids");

  google::protobuf::Empty nothing;
  v1::DeleteMailboxRequest whole;
  whole.set_name(alice_);
  ExpectProblem(Call(*mailboxes_, &v1::MailboxService::Stub::DeleteMailbox, whole, &nothing),
                StatusCode::FAILED_PRECONDITION, "MAILBOX_NOT_EMPTY", alice_);
  v1::RecalculateUsageRequest recalculate;
  v1::RecalculateUsageResponse recalculated;
  recalculate.set_name(alice_);
  ASSERT_TRUE(
      Call(*mailboxes_, &v1::MailboxService::Stub::RecalculateUsage, recalculate, &recalculated).ok());
  EXPECT_EQ(recalculated.recorded().bytes(), 10u);
  EXPECT_EQ(recalculated.actual().messages(), 2u);
  EXPECT_FALSE(recalculated.corrected());
}

TEST_F(MessageServiceTest, ManyCallersAtOnceKeepTheNumbersExact) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        v1::Message message;
        EXPECT_TRUE(Append(alice_, std::string(100 + t, 'x'), &message).ok());
        if (i % 2 == 0) {
          v1::DeleteMessageRequest erase;
          erase.set_name(message.name());
          google::protobuf::Empty empty;
          EXPECT_TRUE(Call(*stub_, &v1::MessageService::Stub::DeleteMessage, erase, &empty).ok());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  v1::Mailbox mailbox;
  ASSERT_TRUE(GetMailbox(alice_, &mailbox).ok());
  EXPECT_EQ(mailbox.usage().messages(), 100u);
  EXPECT_EQ(mailbox.usage().bytes(), 25u * (100 + 101 + 102 + 103));
  EXPECT_EQ(mailbox.uid_next(), 201u);
}

}  // namespace
}  // namespace restante
