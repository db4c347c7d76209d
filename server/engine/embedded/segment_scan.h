// Walks a segment from its beginning to its end, whatever is damaged on the way:
// where a SegmentReader stops, this says what is damaged, finds the next record
// and goes on.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_SEGMENT_SCAN_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_SEGMENT_SCAN_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "restante/stored/v1/stored.pb.h"
#include "server/engine/embedded/files.h"
#include "server/engine/embedded/record.h"

namespace restante::embedded {

namespace stored = ::restante::stored::v1;

struct SegmentDamage {
  // Where the damaged record begins, or should; and where the next one was found.
  uint64_t offset = 0, end = 0;
  // Unless that is damaged itself. Else what stands in between may be several records.
  std::optional<RecordHeader> header;
  std::string problem;
};

// Is told what the walk meets, in order.
class SegmentVisitor {
 public:
  virtual ~SegmentVisitor() = default;

  // The segment record.
  virtual void Start(uint64_t /*first_group*/, const SegmentStart& /*start*/) {}
  // A whole body record, whether or not its group follows.
  virtual void Body(uint64_t /*offset*/, const RecordHeader& /*header*/) {}
  // A whole group record. `complete`: so is every record that it vouches for.
  virtual void Group(uint64_t /*offset*/, stored::Group /*group*/, bool /*complete*/) {}
  virtual void Damaged(SegmentDamage /*damage*/) {}

  // So many octets are going to be read. false: the walk ends with kCancelled.
  virtual bool Reading(uint64_t /*octets*/) { return true; }

  // Where, by other knowledge, the first record lies that ends behind `at`. Behind
  // a damaged header only a search can tell, which what is in a record can mislead.
  struct Place {
    uint64_t offset = 0, end = 0;
  };
  virtual std::optional<Place> Known(uint64_t /*at*/) { return std::nullopt; }
};

// Whether a walk reads what is in bodies, or passes it over.
enum class ScanBodies { kVerify, kSkip };

// Walks octets [0, end) of segment number `segment`, every one of which has to be
// part of a record of `store`. What cannot be read (EIO) is damaged.
absl::Status ScanSegment(const File& file, uint64_t segment, uint64_t end, uint32_t store, ScanBodies bodies,
                         SegmentVisitor& visitor);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_SEGMENT_SCAN_H_
