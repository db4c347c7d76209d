// The end of the log: the one file that groups are appended to.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_SEGMENT_WRITER_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_SEGMENT_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/engine/embedded/files.h"
#include "server/engine/embedded/record.h"

namespace restante::embedded {

// A place between two groups of the log.
struct LogPosition {
  uint64_t segment = 0;
  uint64_t offset = 0;
};

class SegmentWriter {
 public:
  // Goes on behind `at`, where the file ends.
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> GoOn(Files& files, const std::string& directory,
                                                             LogPosition at);
  // Makes segment `before.segment + 1`, durably: that the log goes on there, and
  // that its predecessor ends at `before.offset`, is true from then on.
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Begin(Files& files, const std::string& directory,
                                                              LogPosition before, uint64_t first_group,
                                                              uint32_t store);

  LogPosition end() const { return end_; }

  // One append, one sync. After an error nobody knows what is there; end() is what
  // it was, and nothing may be written any more.
  absl::Status Write(absl::Span<const absl::string_view> pieces);
  // After Write failed in its append: takes away what it left. OK: durably so.
  // kFailedPrecondition: it failed in its sync, and no sync of this file proves
  // anything any more.
  absl::Status CutBack();

 private:
  SegmentWriter(std::unique_ptr<File> file, LogPosition end) : file_(std::move(file)), end_(end) {}

  const std::unique_ptr<File> file_;
  LogPosition end_;
  bool sync_failed_ = false;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_SEGMENT_WRITER_H_
