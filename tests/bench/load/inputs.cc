#include "tests/bench/load/inputs.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

namespace restante::bench {

void Die(std::string_view why) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(why.size()), why.data());
  std::exit(1);
}

std::vector<std::string> Lines(const std::string& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  if (lines.empty()) Die(file + ": no line in it");
  return lines;
}

std::string Noise(size_t size) {
  std::minstd_rand random(1);
  std::string octets(size, '\0');
  for (char& octet : octets) octet = static_cast<char>(random() >> 8);
  return octets;
}

}  // namespace restante::bench
