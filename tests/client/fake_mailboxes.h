// MailboxService, MessageService and StoreService over maps, as far as the
// command line needs them.
#ifndef RESTANTE_TESTS_CLIENT_FAKE_MAILBOXES_H_
#define RESTANTE_TESTS_CLIENT_FAKE_MAILBOXES_H_

#include <grpcpp/grpcpp.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/lib/crc32c.h"
#include "restante/v1/error.pb.h"
#include "restante/v1/mailbox.grpc.pb.h"
#include "restante/v1/message.grpc.pb.h"
#include "restante/v1/store.grpc.pb.h"

namespace restante {

// One thread calls at a time.
class FakeMailboxes : public v1::MailboxService::Service,
                      public v1::MessageService::Service,
                      public v1::StoreService::Service {
 public:
  FakeMailboxes() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(static_cast<v1::MailboxService::Service*>(this));
    builder.RegisterService(static_cast<v1::MessageService::Service*>(this));
    builder.RegisterService(static_cast<v1::StoreService::Service*>(this));
    server = builder.BuildAndStart();
    if (server == nullptr || port == 0) std::abort();
    target = absl::StrCat("127.0.0.1:", port);
  }
  ~FakeMailboxes() override {
    server->Shutdown(std::chrono::system_clock::now());
    server->Wait();
  }

  struct Box {
    v1::Mailbox mailbox;
    std::map<uint64_t, std::pair<v1::Message, std::string>> messages;
  };
  Box& Add(const std::string& address) {
    Box& box = boxes["mailboxes/" + address];
    box.mailbox.set_name("mailboxes/" + address);
    box.mailbox.set_id(absl::StrCat("m", boxes.size()));
    box.mailbox.set_uid_validity(7);
    return box;
  }
  void AddMessage(Box& box, const std::string& text) {
    uint64_t uid = ++last_uid;
    v1::Message message;
    message.set_name(absl::StrCat(box.mailbox.name(), "/folders/INBOX/messages/", uid));
    message.set_uid(uid);
    message.set_size_bytes(text.size());
    message.set_crc32c(client_internal::ExtendCrc32c(0, text));
    message.set_sender("bob@example.com");
    message.set_recipient("alice+x@example.org");
    message.mutable_arrival_time()->set_seconds(1'600'000'000);
    box.messages[uid] = {message, text};
    box.mailbox.mutable_usage()->set_messages(box.messages.size());
    box.mailbox.mutable_usage()->set_bytes(box.mailbox.usage().bytes() + text.size());
  }

  static grpc::Status Error(grpc::StatusCode code, const std::string& text, const std::string& reason) {
    v1::ErrorStatus status;
    v1::ErrorInfo info;
    info.set_reason(reason);
    status.set_code(code);
    google::protobuf::Any* any = status.add_details();
    any->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
    any->set_value(info.SerializeAsString());
    return grpc::Status(code, text, status.SerializeAsString());
  }

  // Pages of two, to see that the pages are turned.
  grpc::Status ListMailboxes(grpc::ServerContext*, const v1::ListMailboxesRequest* request,
                             v1::ListMailboxesResponse* response) override {
    auto at = request->page_token().empty() ? boxes.begin() : boxes.upper_bound(request->page_token());
    for (int n = 0; n < 2 && at != boxes.end(); ++n, ++at) *response->add_mailboxes() = at->second.mailbox;
    if (at != boxes.end()) response->set_next_page_token(std::prev(at)->first);
    return grpc::Status::OK;
  }
  grpc::Status GetMailbox(grpc::ServerContext*, const v1::GetMailboxRequest* request,
                          v1::Mailbox* response) override {
    auto found = boxes.find(request->name());
    if (found == boxes.end()) {
      return Error(grpc::StatusCode::NOT_FOUND, request->name() + ": no such mailbox", "NO_SUCH_MAILBOX");
    }
    *response = found->second.mailbox;
    return grpc::Status::OK;
  }
  grpc::Status CreateMailbox(grpc::ServerContext*, const v1::CreateMailboxRequest* request,
                             v1::Mailbox* response) override {
    if (unavailable) {
      return Error(grpc::StatusCode::UNAVAILABLE, "the store is read-only", "READ_ONLY");
    }
    created = *request;
    *response = request->mailbox();
    return grpc::Status::OK;
  }
  grpc::Status UpdateMailbox(grpc::ServerContext*, const v1::UpdateMailboxRequest* request,
                             v1::Mailbox* response) override {
    updated = *request;
    *response = request->mailbox();
    return grpc::Status::OK;
  }
  grpc::Status DeleteMailbox(grpc::ServerContext*, const v1::DeleteMailboxRequest* request,
                             google::protobuf::Empty*) override {
    if (!request->force() && !boxes[request->name()].messages.empty()) {
      return Error(grpc::StatusCode::FAILED_PRECONDITION, request->name() + ": holds mail", "NOT_EMPTY");
    }
    boxes.erase(request->name());
    return grpc::Status::OK;
  }
  grpc::Status ListMessages(grpc::ServerContext*, const v1::ListMessagesRequest* request,
                            v1::ListMessagesResponse* response) override {
    if (!damaged.empty() && request->parent() == damaged) {
      return Error(grpc::StatusCode::DATA_LOSS, "index: block at 0 has a wrong checksum", "DATA_LOSS");
    }
    auto& messages = boxes[request->parent()].messages;
    auto at = request->page_token().empty() ? messages.begin()
                                            : messages.upper_bound(std::stoull(request->page_token()));
    for (int n = 0; n < 2 && at != messages.end(); ++n, ++at) {
      response->set_next_page_token(absl::StrCat(at->first));
      if (!request->has_arrived_before() ||
          at->second.first.arrival_time().seconds() < request->arrived_before().seconds()) {
        *response->add_messages() = at->second.first;
      }
    }
    if (at == messages.end()) response->clear_next_page_token();
    return grpc::Status::OK;
  }
  grpc::Status GetMessage(grpc::ServerContext*, const v1::GetMessageRequest* request,
                          v1::Message* response) override {
    for (const auto& [name, box] : boxes) {
      for (const auto& [uid, entry] : box.messages) {
        if (entry.first.name() != request->name()) continue;
        *response = entry.first;
        return grpc::Status::OK;
      }
    }
    return Error(grpc::StatusCode::NOT_FOUND, request->name() + ": no such message", "NO_SUCH_MESSAGE");
  }
  grpc::Status ReadMessage(grpc::ServerContext*, const v1::ReadMessageRequest* request,
                           grpc::ServerWriter<v1::ReadMessageResponse>* writer) override {
    for (auto& [name, box] : boxes) {
      for (auto& [uid, entry] : box.messages) {
        if (entry.first.name() != request->name()) continue;
        if (entry.first.name() == damaged) {
          return Error(grpc::StatusCode::DATA_LOSS, damaged + ": block 0 has a wrong checksum", "DAMAGED");
        }
        for (size_t at = 0; at < entry.second.size(); at += 7) {
          v1::ReadMessageResponse response;
          response.set_chunk(entry.second.substr(at, 7));
          writer->Write(response);
        }
        return grpc::Status::OK;
      }
    }
    return Error(grpc::StatusCode::NOT_FOUND, request->name() + ": no such message", "NO_SUCH_MESSAGE");
  }
  grpc::Status BatchDeleteMessages(grpc::ServerContext*, const v1::BatchDeleteMessagesRequest* request,
                                   v1::BatchDeleteMessagesResponse* response) override {
    if (unavailable) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
    auto& messages = boxes[request->parent()].messages;
    for (uint64_t uid : request->uids()) {
      auto found = messages.find(uid);
      if (found == messages.end()) continue;
      response->set_deleted_messages(response->deleted_messages() + 1);
      response->set_deleted_bytes(response->deleted_bytes() + found->second.second.size());
      messages.erase(found);
    }
    return grpc::Status::OK;
  }
  grpc::Status Verify(grpc::ServerContext*, const v1::VerifyRequest* request,
                      grpc::ServerWriter<v1::VerifyResponse>* writer) override {
    v1::VerifyResponse response;
    response.set_checked_mailboxes(1);
    if (!problem.empty()) response.add_problems(problem);
    response.set_repaired_problems(request->repair() && repairs ? response.problems_size() : 0);
    writer->Write(response);
    response.clear_problems();
    response.set_done(true);
    writer->Write(response);
    return grpc::Status::OK;
  }
  grpc::Status Backup(grpc::ServerContext*, const v1::BackupRequest* request,
                      grpc::ServerWriter<v1::BackupResponse>* writer) override {
    backup = *request;
    v1::BackupResponse response;
    if (!problem.empty()) {
      v1::Damage& damage = *response.add_damages();
      damage.set_file("/data/file");
      damage.set_offset(42);
      damage.set_problem(problem);
      writer->Write(response);
      response.clear_damages();
    }
    response.set_done(true);
    response.set_files(3);
    writer->Write(response);
    return grpc::Status::OK;
  }

  grpc::Status Scrub(grpc::ServerContext*, const v1::ScrubRequest* request,
                     grpc::ServerWriter<v1::ScrubResponse>* writer) override {
    scrub_rate = request->max_bytes_per_second();
    v1::ScrubResponse response;
    response.set_total_bytes(2048);
    response.set_checked_bytes(1024);
    *response.mutable_damages() = {damages.begin(), damages.end()};
    writer->Write(response);
    if (ends_early) return grpc::Status::OK;
    response.clear_damages();
    response.set_checked_bytes(2048);
    response.set_done(true);
    writer->Write(response);
    return grpc::Status::OK;
  }
  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*,
                         v1::StoreStatus* response) override {
    *response = status;
    return grpc::Status::OK;
  }

  std::unique_ptr<grpc::Server> server;
  std::string target;
  std::map<std::string, Box> boxes;
  uint64_t last_uid = 0;
  bool unavailable = false;
  std::string problem;
  bool repairs = true;
  std::string damaged;  // Name of a message, or a mailbox, that cannot be read.
  uint64_t scrub_rate = 0;
  std::vector<v1::Damage> damages;
  bool ends_early = false;
  v1::StoreStatus status;
  v1::CreateMailboxRequest created;
  v1::UpdateMailboxRequest updated;
  v1::BackupRequest backup;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_CLIENT_FAKE_MAILBOXES_H_
