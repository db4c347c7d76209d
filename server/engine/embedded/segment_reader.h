// Walks a segment group by group, verifying every octet, and says where and why
// the valid part ends.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_SEGMENT_READER_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_SEGMENT_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "restante/stored/v1/stored.pb.h"
#include "server/engine/embedded/files.h"
#include "server/engine/embedded/record.h"

namespace restante::embedded {

namespace stored = ::restante::stored::v1;

// `0000000000000007.log` and back; 0 for other names.
std::string SegmentName(uint64_t segment);
uint64_t SegmentOfName(absl::string_view name);
// `0000000000000009.body`, and `.part` while it is being written.
std::string BodyFileName(uint64_t body);
std::string PartFileName(uint64_t body);
// 0 for other names.
uint64_t BodyOfFileName(absl::string_view name);
uint64_t BodyOfPartName(absl::string_view name);

struct SegmentInfo {
  uint64_t number = 0;
  uint64_t first_group = 0;
  SegmentStart start;
  uint64_t size = 0;  // Of the file.
};
// Reads the segment record. kDataLoss: it is damaged; kOutOfRange: the file is
// too short to have held more, its creation was cut off.
absl::StatusOr<SegmentInfo> ReadSegmentInfo(Files& files, const std::string& directory, uint64_t segment,
                                            uint32_t store);

// One reader, one thread.
class SegmentReader {
 public:
  // Reads groups from `offset` up to `end`. `number` is the group expected first.
  SegmentReader(std::unique_ptr<File> file, uint64_t offset, uint64_t end, uint64_t number, uint32_t store);

  // Whether bodies are verified too, or skipped (true by default).
  void set_verify_bodies(bool verify) { verify_bodies_ = verify; }
  // Whether a group counts although a body record of it is damaged (false by
  // default): its changes are what its own record says.
  void set_accept_damaged_bodies(bool accept) { accept_damaged_bodies_ = accept; }

  // The next group. kOutOfRange: none, the end was reached exactly. kDataLoss:
  // what stands at offset() is no whole group with the expected number.
  absl::StatusOr<stored::Group> Next();

  // Behind the last whole group.
  uint64_t offset() const { return offset_; }
  uint64_t next_number() const { return number_; }

  // Whether behind offset() a group record with a later number than the expected
  // one is found. Such a one was begun after the expected one was synced, so the
  // latter was damaged, not torn.
  absl::StatusOr<bool> LaterGroupFollows();

  // Groups that were accepted with a damaged body record so far.
  uint64_t damaged_groups() const { return damaged_groups_; }

 private:
  // The group record at `at` if it is `number_`, whole, and says that its group
  // began at offset_; kDataLoss otherwise. `headers_crc32c`: of the body records
  // that were seen; null: they are not compared.
  absl::StatusOr<stored::Group> TakeGroup(const RecordHeader& header, uint64_t at,
                                          const uint32_t* headers_crc32c);
  // Looks for that record behind a damaged body record; kDataLoss: none.
  absl::StatusOr<stored::Group> FindGroup();
  // Where the first record from `from` on stands whose header is `wanted`; the
  // end if there is none.
  absl::StatusOr<uint64_t> FindRecord(uint64_t from, absl::FunctionRef<bool(const RecordHeader&)> wanted);
  // Octets [at, at + bytes), fewer at the end; valid until the next call.
  absl::StatusOr<absl::string_view> Peek(uint64_t at, uint64_t bytes);

  const std::unique_ptr<File> file_;
  const uint64_t end_;
  const uint32_t store_;
  uint64_t offset_;
  uint64_t number_;
  bool verify_bodies_ = true;
  bool accept_damaged_bodies_ = false;
  uint64_t damaged_groups_ = 0;
  std::string buffer_;
  uint64_t buffer_at_ = 0;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_SEGMENT_READER_H_
