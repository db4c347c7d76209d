#include "server/rpc/reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/support/status_code_enum.h>

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace restante::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::FileDescriptorResponse;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

void AddWithImports(const FileDescriptor* file, absl::flat_hash_set<const FileDescriptor*>& added,
                    FileDescriptorResponse& out) {
  if (!added.insert(file).second) return;
  google::protobuf::FileDescriptorProto description;
  file->CopyTo(&description);
  description.SerializeToString(out.add_file_descriptor_proto());
  for (int i = 0; i < file->dependency_count(); ++i) AddWithImports(file->dependency(i), added, out);
}

void SetNotFound(const std::string& what, ServerReflectionResponse& out) {
  out.mutable_error_response()->set_error_code(grpc::StatusCode::NOT_FOUND);
  out.mutable_error_response()->set_error_message(absl::StrCat(what, ": there is none"));
}

void SetFile(const FileDescriptor* file, const std::string& asked, ServerReflectionResponse& out) {
  if (file == nullptr) return SetNotFound(asked, out);
  absl::flat_hash_set<const FileDescriptor*> added;
  AddWithImports(file, added, *out.mutable_file_descriptor_response());
}

}  // namespace

ServerReflectionResponse Reflection::Answer(const ServerReflectionRequest& request) const {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  ServerReflectionResponse out;
  out.set_valid_host(request.host());
  *out.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kListServices:
      for (const std::string& service : services_) {
        out.mutable_list_services_response()->add_service()->set_name(service);
      }
      break;
    case ServerReflectionRequest::kFileByFilename:
      SetFile(pool.FindFileByName(request.file_by_filename()), request.file_by_filename(), out);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      SetFile(pool.FindFileContainingSymbol(request.file_containing_symbol()),
              request.file_containing_symbol(), out);
      break;
    case ServerReflectionRequest::kFileContainingExtension: {
      const auto& extension = request.file_containing_extension();
      const Descriptor* type = pool.FindMessageTypeByName(extension.containing_type());
      const FieldDescriptor* field =
          type == nullptr ? nullptr : pool.FindExtensionByNumber(type, extension.extension_number());
      SetFile(field == nullptr ? nullptr : field->file(),
              absl::StrCat("extension ", extension.extension_number(), " of ", extension.containing_type()),
              out);
      break;
    }
    case ServerReflectionRequest::kAllExtensionNumbersOfType: {
      const std::string& name = request.all_extension_numbers_of_type();
      const Descriptor* type = pool.FindMessageTypeByName(name);
      if (type == nullptr) {
        SetNotFound(name, out);
        break;
      }
      std::vector<const FieldDescriptor*> extensions;
      pool.FindAllExtensions(type, &extensions);
      auto& numbers = *out.mutable_all_extension_numbers_response();
      numbers.set_base_type_name(name);
      for (const FieldDescriptor* extension : extensions) numbers.add_extension_number(extension->number());
      break;
    }
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      out.mutable_error_response()->set_error_code(grpc::StatusCode::INVALID_ARGUMENT);
      out.mutable_error_response()->set_error_message("the request asks for nothing");
      break;
  }
  return out;
}

Task<absl::Status> Reflection::Serve(Reflection* reflection, Call& call) {
  ServerReflectionRequest request;
  while (co_await call.Read(&request)) {
    if (!co_await call.Write(reflection->Answer(request))) break;
  }
  co_return absl::OkStatus();
}

}  // namespace restante::rpc
