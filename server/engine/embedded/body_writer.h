// Takes bodies: small ones in memory until their group is written, large ones,
// and all above the memory budget, through a file of their own.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_BODY_WRITER_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_BODY_WRITER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/files.h"
#include "server/engine/embedded/record.h"
#include "server/engine/embedded/thread_pool.h"
#include "server/engine/engine.h"

namespace restante::embedded {

// What all writers share. They keep it alive, so that one may outlive the engine.
struct BodyShared {
  std::shared_ptr<Files> files;
  std::shared_ptr<ThreadPool> pool;
  std::string directory;  // Of body files.
  uint32_t store = 0;
  uint64_t memory_limit = 0;
  uint64_t own_file_bytes = 0;
  std::atomic<uint64_t> next_number{1};
  std::atomic<uint64_t> memory{0};
  // Octets in body files that no durable group names. The reservations of their
  // transactions cover them.
  std::atomic<uint64_t> pending_file_bytes{0};
  // And in those that one names.
  std::atomic<uint64_t> kept_file_bytes{0};

  absl::Mutex mutex;
  // Body files that are no entry's yet and no rubbish.
  std::set<uint64_t> pending_files ABSL_GUARDED_BY(mutex);
};

// A complete body. Destroyed, it takes its file with it, unless Keep was called.
class Staged : public engine::StagedBody {
 public:
  explicit Staged(std::shared_ptr<BodyShared> shared) : shared_(std::move(shared)) {}
  ~Staged() override;

  uint64_t size() const override { return header.size; }
  uint32_t crc32c() const override { return header.content_crc32c; }

  engine::BodyId id() const override { return engine::BodyId{header.id}; }
  uint64_t number() const { return header.id; }

  // The file belongs to a durable group, or may.
  void Keep();

  RecordHeader header;
  bool own_file = false;
  // In memory: the record, in order.
  std::string encoded_header;
  std::vector<std::string> blocks;
  std::string table;
  // Budget that it holds; octets in its file.
  uint64_t memory = 0;
  uint64_t file_bytes = 0;

 private:
  const std::shared_ptr<BodyShared> shared_;
  bool kept_ = false;
};

std::unique_ptr<engine::BodyWriter> NewBodyWriter(std::shared_ptr<BodyShared> shared,
                                                  std::optional<uint64_t> expected);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_BODY_WRITER_H_
