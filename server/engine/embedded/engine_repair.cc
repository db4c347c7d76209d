// Setting right what a check found.
#include "server/engine/embedded/engine_repair.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/synchronization/notification.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

// What one group gets of it.
constexpr size_t kPiece = 1000;

// `value` and `difference` together, if there is such an amount.
template <typename T>
std::optional<T> Sum(T value, int64_t difference) {
  const int64_t sum = static_cast<int64_t>(value) + difference;
  if (sum < 0 || static_cast<uint64_t>(sum) > std::numeric_limits<T>::max()) return std::nullopt;
  return static_cast<T>(sum);
}

}  // namespace

std::vector<size_t> EmbeddedEngine::SetRight(const std::vector<Repair>& repairs) {
  std::vector<size_t> done;
  std::vector<Repair> numbers;
  for (size_t i = 0; i < repairs.size(); ++i) {
    const Repair& repair = repairs[i];
    if (repair.kind != Repair::kFile) numbers.push_back(repair);
    if (!numbers.empty() && (numbers.size() == kPiece || i + 1 == repairs.size())) {
      absl::StatusOr<std::vector<size_t>> set = SetNumbersRight(numbers);
      if (!set.ok()) LogLine(LogLevel::kWarning, absl::StrCat("repair: ", set.status().message()));
      if (set.ok()) done.insert(done.end(), set->begin(), set->end());
      numbers.clear();
    }
    if (repair.kind == Repair::kFile) {
      // A number is never given twice: nothing will ever name this file.
      RemoveFile(JoinPath(directory_.bodies(), BodyFileName(repair.number)));
      done.push_back(repair.problem);
    }
  }
  return done;
}

absl::StatusOr<std::vector<size_t>> EmbeddedEngine::SetNumbersRight(const std::vector<Repair>& repairs) {
  SnapshotPtr snapshot;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Writable());
    snapshot = BeginFetch();
    if (!snapshot) return absl::UnavailableError("the index is being opened again");
  }
  // As of the snapshot; what is newer is in keys_.
  std::map<uint64_t, std::optional<std::string>> fetched;
  for (const Repair& repair : repairs) {
    if (repair.kind != Repair::kReferences) continue;
    const absl::StatusOr<std::optional<std::string>> value = snapshot->Get(BodyKey(repair.number));
    const std::optional<GroupedValue> split = value.ok() && *value ? SplitGroup(**value) : std::nullopt;
    if (split) fetched[repair.number] = std::string(split->value);
  }
  std::vector<size_t> done;
  absl::Notification durable;
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    EndFetch(snapshot->group());
    RETURN_IF_ERROR(Writable());
    for (const Repair& repair : repairs) {
      if (repair.kind == Repair::kReferences) {
        const KeyTable::Found found = keys_.Newest(BodyKey(repair.number));
        std::optional<std::string> value = fetched[repair.number];
        if (found.known) value = found.value != nullptr ? std::make_optional(*found.value) : std::nullopt;
        stored::BodyLocation location;
        if (!value || !location.ParseFromString(*value)) continue;
        const std::optional<uint32_t> references = Sum(location.references(), repair.references);
        if (!references) continue;
        location.set_references(*references);
        PutLocation(repair.number, location);
      } else {
        const KeyTable::Found found = keys_.Newest(SegmentKey(repair.number));
        stored::SegmentFigures figures;
        if (found.value == nullptr || !figures.ParseFromString(*found.value)) continue;
        const std::optional<uint64_t> bodies = Sum(figures.live_bodies(), repair.live_bodies);
        const std::optional<uint64_t> bytes = Sum(figures.live_bytes(), repair.live_bytes);
        if (!bodies || !bytes) continue;
        figures.set_live_bodies(*bodies);
        figures.set_live_bytes(*bytes);
        Set(SegmentKey(repair.number), figures.SerializeAsString());
      }
      done.push_back(repair.problem);
    }
    if (done.empty()) return done;
    WhenDurable(gathered_.number, [&](const absl::Status& written) {
      status = written;
      durable.Notify();
    });
  }
  snapshot.reset();
  durable.WaitForNotification();
  RETURN_IF_ERROR(status);
  return done;
}

}  // namespace restante::embedded
