// Feeding a parser octets in pieces.
#ifndef RESTANTE_TESTS_POLICY_SPLITS_H_
#define RESTANTE_TESTS_POLICY_SPLITS_H_

#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::policy {

// Everything that `parser` finds in `pieces`, described by `describe`, and at the
// end the error if there was one.
template <typename Parser, typename Describe>
std::vector<std::string> Feed(Parser parser, const std::vector<std::string>& pieces, Describe describe) {
  std::vector<std::string> found;
  for (absl::string_view rest : pieces) {
    while (!rest.empty()) {
      absl::StatusOr<size_t> used = parser.Consume(rest);
      if (!used.ok()) {
        found.push_back("error: " + std::string(used.status().message()));
        return found;
      }
      rest.remove_prefix(*used);
      if (parser.complete()) {
        found.push_back(describe(parser.Take()));
      } else if (!rest.empty()) {
        found.push_back("stopped within a request");
        return found;
      }
    }
  }
  return found;
}

// `octets` one by one, cut in two at every place, and in 200 random ways.
inline std::vector<std::vector<std::string>> Splits(const std::string& octets, unsigned seed) {
  std::vector<std::vector<std::string>> splits(1);
  for (char c : octets) splits[0].push_back(std::string(1, c));
  for (size_t i = 0; i <= octets.size(); ++i) splits.push_back({octets.substr(0, i), octets.substr(i)});
  std::mt19937 random(seed);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::string> pieces;
    for (size_t at = 0; at < octets.size();) {
      pieces.push_back(octets.substr(at, 1 + random() % 40));
      at += pieces.back().size();
    }
    splits.push_back(std::move(pieces));
  }
  return splits;
}

}  // namespace restante::policy

#endif  // RESTANTE_TESTS_POLICY_SPLITS_H_
