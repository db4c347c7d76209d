// Damaging a store's files, and what a scrub says to it.
#ifndef RESTANTE_TESTS_EMBEDDED_DAMAGE_H_
#define RESTANTE_TESTS_EMBEDDED_DAMAGE_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/embedded/small_store.h"

namespace restante::embedded {

// What a scrub finds, in order; one that fails is a test failure.
std::vector<engine::Damage> Scrub(SmallStore& store, uint64_t bytes_per_second = 0);

// For messages of tests.
std::string Text(const std::vector<engine::Damage>& damages);

// Flips one bit of a file, until destroyed. The file stays the same file.
class Flip {
 public:
  Flip(const std::filesystem::path& path, uint64_t at, uint8_t bit = 0x10);
  ~Flip() { Toggle(); }
  Flip(const Flip&) = delete;
  Flip& operator=(const Flip&) = delete;

 private:
  void Toggle();

  std::fstream file_;
  const uint64_t at_;
  const uint8_t bit_;
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_DAMAGE_H_
