#include "server/rpc/progress_findings.h"

namespace restante::rpc {

using google::protobuf::Descriptor;
using google::protobuf::Message;

bool HasFindings(const Message& response) {
  const Descriptor* type = response.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    if (type->field(i)->is_repeated() && response.GetReflection()->FieldSize(response, type->field(i)) > 0) {
      return true;
    }
  }
  return false;
}

void ClearFindings(Message& response) {
  const Descriptor* type = response.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    if (type->field(i)->is_repeated()) response.GetReflection()->ClearField(&response, type->field(i));
  }
}

}  // namespace restante::rpc
