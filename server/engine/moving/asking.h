// Questions to an engine by a thread that waits for the answer.
#ifndef RESTANTE_SERVER_ENGINE_MOVING_ASKING_H_
#define RESTANTE_SERVER_ENGINE_MOVING_ASKING_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/engine/engine.h"

namespace restante::moving {

namespace stored = engine::stored;
using engine::BodyId;
using engine::Engine;
using engine::PartitionId;

template <typename T>
T Ask(absl::FunctionRef<void(engine::Done<T>)> question) {
  absl::Notification answered;
  std::optional<T> answer;
  question([&](T value) {
    answer = std::move(value);
    answered.Notify();
  });
  answered.WaitForNotification();
  return *std::move(answer);
}

// A question that changes nothing is asked again while the engine cannot answer, for a
// minute: a cluster may be busy with itself.
template <typename T>
T AskPatiently(absl::FunctionRef<void(engine::Done<T>)> question) {
  for (int times = 1;; ++times) {
    T answer = Ask<T>(question);
    if (!absl::IsUnavailable(answer.status()) || times == 60) return answer;
    absl::SleepFor(absl::Seconds(1));
  }
}

inline absl::StatusOr<engine::ReadResult> Read(Engine* of, PartitionId partition,
                                               std::vector<std::string> keys = {}) {
  return AskPatiently<absl::StatusOr<engine::ReadResult>>(
      [&](auto done) { of->Read(partition, keys, std::move(done)); });
}

inline absl::StatusOr<engine::ScanPage> Scan(Engine* of, PartitionId partition, const std::string& from,
                                             size_t limit) {
  return AskPatiently<absl::StatusOr<engine::ScanPage>>(
      [&](auto done) { of->Scan(partition, from, "", limit, std::move(done)); });
}

inline absl::StatusOr<std::string> ReadBody(Engine* of, BodyId body, uint64_t offset, uint64_t length) {
  return AskPatiently<absl::StatusOr<std::string>>(
      [&](auto done) { of->ReadBody(body, offset, length, std::move(done)); });
}

using Listed = std::vector<std::pair<uint64_t, stored::Head>>;
inline absl::StatusOr<Listed> ListPartitions(Engine* of, PartitionId::Kind kind, uint64_t after,
                                             size_t limit) {
  return AskPatiently<absl::StatusOr<Listed>>(
      [&](auto done) { of->ListPartitions(kind, after, limit, std::move(done)); });
}

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_ASKING_H_
