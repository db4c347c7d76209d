#include "server/engine/memory/memory_body.h"

#include <array>

namespace restante::engine {
namespace {

// CRC32C (RFC 3720 appendix B.4), an octet at a time.
uint32_t Crc32c(const std::string& octets) {
  static const auto table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
      t[i] = c;
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (const char octet : octets) crc = crc >> 8 ^ table[(crc ^ static_cast<uint8_t>(octet)) & 0xff];
  return ~crc;
}

}  // namespace

MemoryBody::MemoryBody(BodyId id, std::string octets)
    : id_(id), octets_(std::move(octets)), crc32c_(Crc32c(octets_)) {}

void MemoryBodyWriter::Append(std::string octets, Done<absl::Status> done) {
  octets_ += octets;
  done(absl::OkStatus());
}

void MemoryBodyWriter::Finish(Done<absl::StatusOr<std::unique_ptr<StagedBody>>> done) {
  done(std::make_unique<MemoryBody>(id_, std::move(octets_)));
}

}  // namespace restante::engine
