#include "server/rpc/channelz.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <grpcpp/ext/channelz_service_plugin.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace restante::rpc {
namespace {

using google::protobuf::Message;

// gRPC tells these figures as the JSON form of the service's responses. The
// messages are those of gRPC's channelz library, which installs no header for them.
struct Question {
  const char* method;
  // In JSON, to be freed with gpr_free; null: there is none.
  char* (*ask)(const Message& request);
};

// The linker leaves out a library that nothing is taken from.
[[gnu::used]] void (*const kLibrary)() = &grpc::channelz::experimental::InitChannelzService;

int64_t Field(const Message& request, const char* name) {
  const auto* field = request.GetDescriptor()->FindFieldByName(name);
  return field == nullptr ? 0 : request.GetReflection()->GetInt64(request, field);
}

constexpr Question kQuestions[] = {
    {"GetTopChannels",
     [](const Message& r) { return grpc_channelz_get_top_channels(Field(r, "start_channel_id")); }},
    {"GetServers", [](const Message& r) { return grpc_channelz_get_servers(Field(r, "start_server_id")); }},
    {"GetServer", [](const Message& r) { return grpc_channelz_get_server(Field(r, "server_id")); }},
    {"GetServerSockets",
     [](const Message& r) {
       return grpc_channelz_get_server_sockets(Field(r, "server_id"), Field(r, "start_socket_id"),
                                               Field(r, "max_results"));
     }},
    {"GetChannel", [](const Message& r) { return grpc_channelz_get_channel(Field(r, "channel_id")); }},
    {"GetSubchannel",
     [](const Message& r) { return grpc_channelz_get_subchannel(Field(r, "subchannel_id")); }},
    {"GetSocket", [](const Message& r) { return grpc_channelz_get_socket(Field(r, "socket_id")); }},
};

std::unique_ptr<Message> NewMessage(absl::string_view method, absl::string_view suffix) {
  const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
      absl::StrCat("grpc.channelz.v1.", method, suffix));
  if (type == nullptr) return nullptr;
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

Task<absl::Status> Serve(const Question* question, Call& call) {
  const std::unique_ptr<Message> request = NewMessage(question->method, "Request");
  const std::unique_ptr<Message> response = NewMessage(question->method, "Response");
  if (!co_await call.Read(request.get())) co_return absl::InvalidArgumentError("the request is missing");
  const std::unique_ptr<char, decltype(&gpr_free)> json(question->ask(*request), &gpr_free);
  if (!json) co_return absl::NotFoundError(absl::StrCat(request->ShortDebugString(), ": there is none"));
  const auto parsed = google::protobuf::util::JsonStringToMessage(json.get(), response.get());
  if (!parsed.ok()) co_return absl::InternalError(parsed.ToString());
  call.SetLast(*response);
  co_return absl::OkStatus();
}

}  // namespace

Methods ChannelzMethods() {
  Methods out;
  for (const Question& question : kQuestions) {
    if (NewMessage(question.method, "Request") == nullptr) continue;
    out.push_back(BidiStream(absl::StrCat("grpc.channelz.v1.Channelz/", question.method),
                             {access::Role::kOperator, access::Scope::kStore}, &question, Serve));
  }
  return out;
}

}  // namespace restante::rpc
