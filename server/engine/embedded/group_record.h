// Group records: all changes of the index that one sync makes durable. Layout in
// FORMAT.md.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_GROUP_RECORD_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_GROUP_RECORD_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "restante/stored/v1/stored.pb.h"
#include "server/engine/embedded/record.h"

namespace restante::embedded {

namespace stored = ::restante::stored::v1;

struct GroupRecord {
  std::string header, payload;  // One behind the other in the log.

  uint64_t stored_bytes() const { return header.size() + payload.size(); }
};

// With `compress`, compressed where that helps.
GroupRecord EncodeGroup(const stored::Group& group, uint32_t store, bool compress);

// kDataLoss, saying what is wrong, for anything that is not a group record with
// the number that its header says.
absl::StatusOr<stored::Group> DecodeGroup(const RecordHeader& header, absl::string_view payload);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_GROUP_RECORD_H_
