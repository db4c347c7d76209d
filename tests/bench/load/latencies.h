// Durations of one kind, and what becomes of them in a report.
#ifndef RESTANTE_TESTS_BENCH_LOAD_LATENCIES_H_
#define RESTANTE_TESTS_BENCH_LOAD_LATENCIES_H_

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace restante::bench {

using Steady = std::chrono::steady_clock;

inline double Seconds(Steady::duration duration) { return std::chrono::duration<double>(duration).count(); }

class Latencies {
 public:
  void Add(Steady::duration duration) {
    micros_.push_back(std::chrono::duration<float, std::micro>(duration).count());
  }

  size_t count() const { return micros_.size(); }

  // Microseconds below which the part `share` of all lies, by nearest rank; 0 of none.
  double Percentile(double share) {
    if (micros_.empty()) return 0;
    const size_t last = micros_.size() - 1;
    const size_t rank = std::min(last, static_cast<size_t>(share * static_cast<double>(micros_.size())));
    std::nth_element(micros_.begin(), micros_.begin() + static_cast<ptrdiff_t>(rank), micros_.end());
    return micros_[rank];
  }

 private:
  std::vector<float> micros_;
};

// Processor time of this program so far, all threads.
inline double OwnCpuSeconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// What every load generator reports, as one line of JSON on standard output: `count`
// were done, in `took`.
inline void Report(size_t count, Latencies& latencies, Steady::duration took) {
  std::printf(
      "{\"count\": %zu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"cpu_seconds\": %.3f}\n",
      count, Seconds(took), latencies.Percentile(0.5), latencies.Percentile(0.99), OwnCpuSeconds());
}

}  // namespace restante::bench

#endif  // RESTANTE_TESTS_BENCH_LOAD_LATENCIES_H_
