// One scrub: every stored octet, in the order index, segments, body files, while
// mail flows. Nothing that is found is believed before it was looked at again
// with what the index says now, for files come, move and go meanwhile.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_ENGINE_SCRUB_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_ENGINE_SCRUB_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_files.h"
#include "server/engine/embedded/scrub_thread.h"
#include "server/engine/embedded/segment_scan.h"

namespace restante::embedded {

class EmbeddedEngine::Scrubbing {
 public:
  Scrubbing(EmbeddedEngine* engine, const ScrubOrder& order) : engine_(*engine), order_(order) {}

  // kCancelled: the report said so, or the store is being closed.
  absl::Status Run();

 private:
  struct LiveBody {
    uint64_t id = 0;
    stored::BodyLocation location;
    uint64_t end() const { return location.offset() + location.stored_bytes(); }
  };
  class SegmentFindings;
  // Body -> the messages that it is the text of: mailbox partition and UID.
  using Holders = std::map<uint64_t, std::vector<std::pair<uint64_t, uint64_t>>>;

  void CheckFormat();

  // --- pace and report ---
  // Before so many octets are read. false: the scrub is given up.
  bool Reading(uint64_t octets);
  bool Tell();
  bool Wait(absl::Duration time);
  void Found(engine::Damage damage) { progress_.damages.push_back(std::move(damage)); }

  // --- what the index says now ---
  // Waits until the index works; the function is called with the engine's lock held.
  absl::StatusOr<SnapshotPtr> AwaitSnapshot(absl::FunctionRef<void()> at_that_moment);
  // Visits [from, to) as far as it can be read. kCancelled, else OK.
  absl::Status VisitIndex(const std::string& from, const std::string& to,
                          absl::FunctionRef<void(absl::string_view key, absl::string_view value)> visit);
  // Ascending by offset.
  absl::StatusOr<std::vector<LiveBody>> BodiesIn(uint64_t segment);
  absl::Status FindHolders(Holders* holders);
  // Whether a body still lies there. Also if the index cannot tell.
  bool StillThere(const LiveBody& body);

  // --- segments ---
  absl::StatusOr<std::vector<uint64_t>> ListSegments();
  // How far a segment counts; 0: it is gone.
  uint64_t EndOf(uint64_t segment);
  absl::Status ScrubSegment(uint64_t segment);
  absl::Status JudgeSegment(uint64_t segment, const std::string& path, const File* file,
                            const std::vector<SegmentDamage>& damages);

  // --- body files ---
  absl::Status ScrubBodyFile(const LiveBody& body);

  // --- the index (engine_scrub_index.cc) ---
  // Where LevelDB looks for a key, the first place first.
  struct IndexPlace {
    int level = -1;  // -1: before all tables.
    uint64_t number = 0;
    bool operator<(const IndexPlace& other) const {
      return level != other.level ? level < other.level : number > other.number;
    }
  };
  struct IndexFinding {
    std::string file;
    IndexPlace place;
    IndexDamage damage;
  };
  using PlacedEntryVisitor =
      std::function<void(IndexPlace place, absl::string_view key, std::optional<absl::string_view> value)>;
  absl::Status ScrubIndex();
  absl::StatusOr<std::string> ReadIndexFile(const std::string& name);
  absl::StatusOr<IndexManifest> ReadManifest(std::vector<IndexFinding>* findings);
  absl::Status ReadIndexFiles(std::vector<IndexFinding>* findings, const PlacedEntryVisitor& visit);
  // For each finding, the keys that LevelDB does not give because of it.
  absl::Status FindLostKeys(const std::vector<IndexFinding>& findings,
                            std::vector<std::vector<std::string>>* lost);
  absl::Status JudgeIndex(const std::vector<IndexFinding>& findings);

  EmbeddedEngine& engine_;
  const ScrubOrder& order_;
  engine::UpkeepProgress progress_;
  int64_t ready_us_ = 0;  // When the next octet may be read.
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_ENGINE_SCRUB_H_
