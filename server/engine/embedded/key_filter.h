// Which of many keys surely were never added: a Bloom filter that grows.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_KEY_FILTER_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_KEY_FILTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace restante::embedded {

// Of 1,000 keys that were not added, 5 are taken for one that was, or 40 when it is
// nearly full. It takes 2 octets a key, 64 KiB to 32 MiB: about 16 million keys. When
// it is full every key may have been added.
//
// Not thread-safe.
class KeyFilter {
 public:
  explicit KeyFilter(size_t max_tables = 9) : max_tables_(max_tables) {}

  void Add(absl::string_view key);
  bool MayHave(absl::string_view key) const;

 private:
  // A key has all its bits in one line of the processor's cache.
  using Line = std::array<uint64_t, 8>;
  struct Table {
    explicit Table(size_t line_count) : lines(line_count) {}
    std::vector<Line> lines;
    size_t keys = 0;
  };

  const size_t max_tables_;
  std::vector<Table> tables_;  // Each twice as large as the one before; all but the last are full.
  bool full_ = false;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_KEY_FILTER_H_
