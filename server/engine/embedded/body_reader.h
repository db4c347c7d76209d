// Reads a stored body by its location, verifying what it returns.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_BODY_READER_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_BODY_READER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "restante/stored/v1/stored.pb.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/data_dir.h"
#include "server/engine/embedded/files.h"
#include "server/engine/embedded/record.h"

namespace restante::embedded {

namespace stored = ::restante::stored::v1;

// The file that holds a body.
std::string PathOf(const DataDir& directory, const stored::BodyLocation& location);

class BodyReader {
 public:
  BodyReader(const File& file, uint64_t body, const stored::BodyLocation& location, uint32_t store)
      : file_(file), body_(body), location_(location), store_(store) {}

  // The header, if it is the one of this body at this place; else kDataLoss.
  absl::StatusOr<RecordHeader> Header() const;
  // Octets [offset, offset + length), cut at the end.
  absl::StatusOr<std::string> Read(uint64_t offset, uint64_t length) const;

  // Reads every stored octet, and says what is damaged: where in the file, and how.
  // `reading` is told before so many octets are read; false gives it up.
  std::vector<PayloadDamage> Check(const std::function<bool(uint64_t octets)>& reading) const;

 private:
  absl::StatusOr<std::string> ReadAt(uint64_t offset, uint64_t bytes) const;
  absl::StatusOr<RecordHeader> CheckHeader(absl::string_view octets) const;
  // Where the payload of a record with this header begins.
  uint64_t PayloadOffset(const RecordHeader& header) const;

  const File& file_;
  const uint64_t body_;
  const stored::BodyLocation& location_;
  const uint32_t store_;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_BODY_READER_H_
