// Bodies as they are stored: independent blocks of 256 KiB, each compressed if
// that saves a twentieth, then a table of their lengths and checksums, so that
// any range can be read and verified by itself. Layout in FORMAT.md.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_BODY_CODEC_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_BODY_CODEC_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/engine/embedded/record.h"

namespace restante::embedded {

inline constexpr size_t kBlockBytes = size_t{256} << 10;

// Takes the octets of one body and gives stored blocks. One owner.
class BodyEncoder {
 public:
  // Blocks that became complete are appended to `blocks`.
  void Append(std::string octets, std::vector<std::string>* blocks);
  // The last block, if any. Nothing may be appended afterwards.
  void Finish(std::vector<std::string>* blocks);

  // Logical octets so far, and their CRC32C.
  uint64_t size() const { return size_; }
  uint32_t crc32c() const { return crc32c_; }
  // After Finish: what stands behind the blocks.
  const std::string& table() const { return table_; }
  // After Finish: the record's header.
  RecordHeader Header(uint64_t body, uint32_t store) const;

 private:
  void CloseBlock(std::vector<std::string>* blocks);

  std::string block_;
  std::string table_;
  uint64_t size_ = 0;
  uint64_t stored_ = 0;
  uint32_t crc32c_ = 0;
};

// Reads octets [offset, offset + bytes) of a record's payload.
using PayloadReader = std::function<absl::StatusOr<std::string>(uint64_t offset, uint64_t bytes)>;

// Octets [offset, offset + length) of the body, cut at its end. kDataLoss saying
// which block is damaged; errors of `read`.
absl::StatusOr<std::string> DecodeRange(const RecordHeader& header, const PayloadReader& read,
                                        uint64_t offset, uint64_t length);

// Whether the payload of a record of any kind is what its header says: every
// stored octet. Blocks are not decompressed.
absl::Status CheckPayload(const RecordHeader& header, absl::string_view payload);

// Every block, and the table, that is not what a body record's header says: where
// in the payload, and what is wrong. Reads it block by block; what `read` cannot
// read is damaged, and kCancelled ends it.
struct PayloadDamage {
  uint64_t offset = 0;
  std::string problem;
};
std::vector<PayloadDamage> FindDamage(const RecordHeader& header, const PayloadReader& read);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_BODY_CODEC_H_
