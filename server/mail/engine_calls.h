// The engine port's functions as awaitables (base/task.h).
#ifndef RESTANTE_SERVER_MAIL_ENGINE_CALLS_H_
#define RESTANTE_SERVER_MAIL_ENGINE_CALLS_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/task.h"
#include "server/engine/engine.h"

namespace restante::mail {

// As it is now, or as it was a few seconds ago at most (Engine::ReadRecent).
enum class Age { kNow, kRecent };

inline Await<absl::StatusOr<engine::ReadResult>> Read(engine::Engine* engine, engine::PartitionId partition,
                                                      std::vector<std::string> keys, Age age = Age::kNow) {
  return Await<absl::StatusOr<engine::ReadResult>>(
      [engine, partition, keys = std::move(keys), age](auto done) mutable {
        if (age == Age::kNow) {
          engine->Read(partition, std::move(keys), std::move(done));
        } else {
          engine->ReadRecent(partition, std::move(keys), std::move(done));
        }
      });
}

inline Await<absl::StatusOr<engine::ScanPage>> Scan(engine::Engine* engine, engine::PartitionId partition,
                                                    std::string from, std::string to, size_t limit) {
  return Await<absl::StatusOr<engine::ScanPage>>(
      [engine, partition, from = std::move(from), to = std::move(to), limit](auto done) mutable {
        engine->Scan(partition, std::move(from), std::move(to), limit, std::move(done));
      });
}

// `fn` may refer to locals of the coroutine that awaits this.
inline Await<absl::Status> Update(engine::Engine* engine, engine::PartitionId partition,
                                  std::vector<std::string> keys, engine::UpdateFn fn) {
  return Await<absl::Status>(
      [engine, partition, keys = std::move(keys), fn = std::move(fn)](auto done) mutable {
        engine->Update(partition, std::move(keys), std::move(fn), std::move(done));
      });
}

inline Await<absl::StatusOr<std::vector<std::pair<uint64_t, engine::stored::Head>>>> ListPartitions(
    engine::Engine* engine, engine::PartitionId::Kind kind, uint64_t after, size_t limit) {
  return Await<absl::StatusOr<std::vector<std::pair<uint64_t, engine::stored::Head>>>>(
      [engine, kind, after, limit](auto done) {
        engine->ListPartitions(kind, after, limit, std::move(done));
      });
}

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_ENGINE_CALLS_H_
