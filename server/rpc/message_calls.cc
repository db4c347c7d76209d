#include "server/rpc/message_calls.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/mail/names.h"
#include "server/rpc/convert.h"

namespace restante::rpc::calls {
namespace {

using mail::InvalidField;

constexpr int kMaxBatch = 1000;

}  // namespace

Task<absl::Status> ListMessages(mail::Messages* messages, const v1::ListMessagesRequest* request,
                                v1::ListMessagesResponse* response) {
  CO_ASSIGN_OR_RETURN(mail::ParentRef parent, InField("parent", mail::ParseParentName(request->parent())));
  CO_ASSIGN_OR_RETURN(const size_t size, PageSizeOf(request->page_size()));
  std::optional<int64_t> before;
  if (request->has_arrived_before()) {
    CO_ASSIGN_OR_RETURN(before, MicrosOf("arrived_before", request->arrived_before()));
  }
  const std::string list =
      absl::StrCat("messages/", parent.mailbox.ToString(), "/", parent.folder.value_or(""), "/",
                   before ? absl::StrCat(*before) : "", "/", request->after_uid());
  CO_ASSIGN_OR_RETURN(const std::string token, PageAfter(list, request->page_token()));
  uint64_t after = request->after_uid();
  if (!token.empty() && !absl::SimpleAtoi(token, &after)) {
    co_return InvalidField("page_token", "is not a token of this list");
  }
  CO_ASSIGN_OR_RETURN(const mail::MessagePage page, co_await messages->List(parent, after, size, before));
  for (const mail::MessageView& view : page.items) *response->add_messages() = ToApi(view);
  if (page.next != 0) response->set_next_page_token(PageToken(list, absl::StrCat(page.next)));
  co_return absl::OkStatus();
}

Task<absl::Status> GetMessage(mail::Messages* messages, const v1::GetMessageRequest* request,
                              v1::Message* response) {
  CO_ASSIGN_OR_RETURN(mail::MessageRef ref, InField("name", mail::ParseMessageName(request->name())));
  CO_ASSIGN_OR_RETURN(const mail::MessageView view, co_await messages->Get(ref));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> DeleteMessage(mail::Messages* messages, const v1::DeleteMessageRequest* request,
                                 google::protobuf::Empty*) {
  CO_ASSIGN_OR_RETURN(mail::MessageRef ref, InField("name", mail::ParseMessageName(request->name())));
  mail::ParentRef parent;
  parent.mailbox = ref.mailbox;
  parent.folder = ref.folder;
  std::vector<uint64_t> uids(1, ref.uid);
  CO_ASSIGN_OR_RETURN(const mail::EntrySums erased, co_await messages->Delete(parent, uids));
  if (erased.messages == 0) {
    co_return mail::NotFound(mail::MessageName(ref.mailbox.ToString(), ref.folder, ref.uid));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> BatchDeleteMessages(mail::Messages* messages,
                                       const v1::BatchDeleteMessagesRequest* request,
                                       v1::BatchDeleteMessagesResponse* response) {
  CO_ASSIGN_OR_RETURN(mail::ParentRef parent, InField("parent", mail::ParseParentName(request->parent())));
  if (request->uids().empty() || request->uids_size() > kMaxBatch) {
    co_return InvalidField("uids",
                           absl::StrCat("has ", request->uids_size(), " UIDs, must have 1 to ", kMaxBatch));
  }
  std::vector<uint64_t> uids(request->uids().begin(), request->uids().end());
  CO_ASSIGN_OR_RETURN(const mail::EntrySums erased, co_await messages->Delete(parent, uids));
  response->set_deleted_messages(erased.messages);
  response->set_deleted_bytes(erased.bytes);
  co_return absl::OkStatus();
}

}  // namespace restante::rpc::calls
