// Bodies of the memory engine: octets in a string.
#ifndef RESTANTE_SERVER_ENGINE_MEMORY_MEMORY_BODY_H_
#define RESTANTE_SERVER_ENGINE_MEMORY_MEMORY_BODY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "server/engine/engine.h"

namespace restante::engine {

class MemoryBody : public StagedBody {
 public:
  MemoryBody(BodyId id, std::string octets);
  uint64_t size() const override { return octets_.size(); }
  uint32_t crc32c() const override { return crc32c_; }
  BodyId id() const override { return id_; }
  // The octets; the body is empty then.
  std::string Take() { return std::move(octets_); }

 private:
  const BodyId id_;
  std::string octets_;
  const uint32_t crc32c_;
};

class MemoryBodyWriter : public BodyWriter {
 public:
  explicit MemoryBodyWriter(BodyId id) : id_(id) {}
  void Append(std::string octets, Done<absl::Status> done) override;
  void Finish(Done<absl::StatusOr<std::unique_ptr<StagedBody>>> done) override;

 private:
  const BodyId id_;
  std::string octets_;
};

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_MEMORY_MEMORY_BODY_H_
