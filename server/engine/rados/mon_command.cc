#include "server/engine/rados/mon_command.h"

#include <google/protobuf/util/json_util.h>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace restante::rados {

namespace {

constexpr char kOsdTimeout[] = "rados_osd_op_timeout";

}  // namespace

using google::protobuf::Value;

absl::StatusOr<Value> MonCommand(Cluster& cluster, absl::string_view prefix, absl::string_view arguments) {
  const Librados& library = *cluster.library();
  const std::string command = absl::StrCat("{", JsonText("prefix", prefix), ", ", arguments,
                                           arguments.empty() ? "" : ", ", JsonText("format", "json"), "}");
  const char* const commands[] = {command.c_str()};
  char* answer = nullptr;
  char* said = nullptr;
  size_t answer_size = 0, said_size = 0;
  const int result = library.mon_command(cluster.handle(), const_cast<const char**>(commands), 1, nullptr, 0,
                                         &answer, &answer_size, &said, &said_size);
  const std::string text(answer == nullptr ? "" : answer, answer_size);
  const std::string reason(absl::StripAsciiWhitespace(absl::string_view(said, said_size)));
  library.buffer_free(answer);
  library.buffer_free(said);
  const std::string what = absl::StrCat("`ceph ", prefix, "`");
  if (result < 0) {
    const absl::Status status = ToStatus(result, what);
    if (reason.empty()) return status;
    return absl::Status(status.code(), absl::StrCat(status.message(), ": ", reason));
  }
  Value value;
  if (!text.empty() && !google::protobuf::util::JsonStringToMessage(text, &value).ok()) {
    return absl::UnavailableError(absl::StrCat(what, ": the answer is no JSON"));
  }
  return value;
}

std::string JsonText(absl::string_view name, absl::string_view value) {
  return absl::StrCat("\"", name, "\": \"", value, "\"");
}

const Value& MemberOf(const Value& object, const char* name) {
  const auto& fields = object.struct_value().fields();
  const auto found = fields.find(name);
  return found == fields.end() ? Value::default_instance() : found->second;
}

BoundedWaits::BoundedWaits(Cluster* cluster, uint32_t seconds) : cluster_(cluster) {
  cluster_->library()->conf_set(cluster_->handle(), kOsdTimeout, absl::StrCat(seconds).c_str());
}

BoundedWaits::~BoundedWaits() { cluster_->library()->conf_set(cluster_->handle(), kOsdTimeout, "0"); }

}  // namespace restante::rados
