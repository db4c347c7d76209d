// What the load generators are given, and how they give up.
#ifndef RESTANTE_TESTS_BENCH_LOAD_INPUTS_H_
#define RESTANTE_TESTS_BENCH_LOAD_INPUTS_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace restante::bench {

// Ends the program with a line on standard error: a measurement with a failure in it
// is none.
[[noreturn]] void Die(std::string_view why);

// The lines of a file that has some.
std::vector<std::string> Lines(const std::string& file);

// Octets that do not compress; always the same.
std::string Noise(size_t size);

}  // namespace restante::bench

#endif  // RESTANTE_TESTS_BENCH_LOAD_INPUTS_H_
