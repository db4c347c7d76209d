// What was once released is served and read for ever: front ends and other callers may be a
// minor version older than the store, and a data directory may be of any age.
//
// released/VERSION.txt has a line for each field, enum value and method that this version
// had. Of a new version it is written once:
//
//     RESTANTE_WRITE_RELEASED=tests/proto/released/0.2.txt compatibility_test
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "restante/stored/v1/stored.pb.h"
#include "restante/v1/common.pb.h"
#include "restante/v1/delivery.pb.h"
#include "restante/v1/error.pb.h"
#include "restante/v1/mailbox.pb.h"
#include "restante/v1/message.pb.h"
#include "restante/v1/store.pb.h"

namespace restante {
namespace {

namespace pb = google::protobuf;
using Lines = std::set<std::string>;

void AddEnum(const pb::EnumDescriptor& type, Lines& lines) {
  for (int i = 0; i < type.value_count(); ++i) {
    lines.insert(
        absl::StrCat("value ", type.full_name(), " ", type.value(i)->name(), " = ", type.value(i)->number()));
  }
}

// What decides how it is written (which `optional` does not), and what it is called in code.
std::string FieldLine(const pb::FieldDescriptor& field) {
  std::string line = absl::StrCat("field ", field.full_name(), " = ", field.number(), ": ",
                                  field.is_repeated() ? "repeated " : "", field.type_name());
  if (field.message_type() != nullptr) absl::StrAppend(&line, " ", field.message_type()->full_name());
  if (field.enum_type() != nullptr) absl::StrAppend(&line, " ", field.enum_type()->full_name());
  if (field.real_containing_oneof() != nullptr) {
    absl::StrAppend(&line, " of ", field.real_containing_oneof()->name());
  }
  return line;
}

void AddMessage(const pb::Descriptor& type, Lines& lines) {
  for (int i = 0; i < type.field_count(); ++i) lines.insert(FieldLine(*type.field(i)));
  for (int i = 0; i < type.enum_type_count(); ++i) AddEnum(*type.enum_type(i), lines);
  for (int i = 0; i < type.nested_type_count(); ++i) AddMessage(*type.nested_type(i), lines);
}

void AddService(const pb::ServiceDescriptor& service, Lines& lines) {
  for (int i = 0; i < service.method_count(); ++i) {
    const pb::MethodDescriptor& method = *service.method(i);
    lines.insert(absl::StrCat("method ", method.full_name(), "(", method.client_streaming() ? "stream " : "",
                              method.input_type()->full_name(), ") returns (",
                              method.server_streaming() ? "stream " : "", method.output_type()->full_name(),
                              ")"));
  }
}

Lines Present() {
  Lines lines;
  for (const pb::FileDescriptor* file :
       {v1::DeliverRequest::descriptor()->file(), v1::ErrorInfo::descriptor()->file(),
        v1::Mailbox::descriptor()->file(), v1::Message::descriptor()->file(),
        v1::Shortage::descriptor()->file(), v1::StoreStatus::descriptor()->file(),
        stored::v1::Head::descriptor()->file()}) {
    for (int i = 0; i < file->enum_type_count(); ++i) AddEnum(*file->enum_type(i), lines);
    for (int i = 0; i < file->message_type_count(); ++i) AddMessage(*file->message_type(i), lines);
    for (int i = 0; i < file->service_count(); ++i) AddService(*file->service(i), lines);
  }
  return lines;
}

Lines Missing(const Lines& released, const Lines& present) {
  Lines missing;
  for (const std::string& line : released) {
    if (!present.contains(line)) missing.insert(line);
  }
  return missing;
}

TEST(Compatibility, NothingThatWasReleasedIsGoneOrOtherwise) {
  const Lines present = Present();
  if (const char* path = std::getenv("RESTANTE_WRITE_RELEASED")) {
    std::ofstream file(path);
    for (const std::string& line : present) file << line << "\n";
    ASSERT_TRUE(file.flush().good()) << path;
  }
  int versions = 0;
  for (const auto& entry : std::filesystem::directory_iterator(RELEASED_DIR)) {
    ++versions;
    Lines released;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) released.insert(line);
    EXPECT_GT(released.size(), 300u) << entry.path();
    EXPECT_THAT(Missing(released, present), testing::IsEmpty()) << "of " << entry.path();
  }
  EXPECT_GT(versions, 0);
}

TEST(Compatibility, OfAFieldIsItsNumberItsTypeItsNameAndItsOneof) {
  const Lines present = Present();
  EXPECT_TRUE(present.contains("field restante.v1.Message.size_bytes = 3: uint64"));
  EXPECT_TRUE(present.contains("field restante.v1.AppendMessageRequest.chunk = 2: bytes of kind"));
  EXPECT_TRUE(present.contains(
      "field restante.v1.ListMessagesResponse.messages = 1: repeated message restante.v1.Message"));
  EXPECT_TRUE(present.contains("value restante.v1.Outcome OUTCOME_OK = 1"));
  EXPECT_TRUE(present.contains(
      "method restante.v1.DeliveryService.Deliver(stream restante.v1.DeliverRequest) returns (stream "
      "restante.v1.DeliverResponse)"));
  EXPECT_THAT(Missing({"field restante.v1.Message.size_bytes = 3: int64"}, present), testing::SizeIs(1));
}

}  // namespace
}  // namespace restante
