// How often a value fell between which bounds.
#ifndef RESTANTE_SERVER_BASE_HISTOGRAM_H_
#define RESTANTE_SERVER_BASE_HISTOGRAM_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace restante {

// One thread observes, any may read.
class Histogram {
 public:
  // `bounds` ascend; a bucket has what is no more than its bound.
  explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

  void Observe(double value) {
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    counts_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
    sum_.store(sum_.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
  }

  struct Values {
    std::vector<double> bounds;
    std::vector<uint64_t> counts;  // For each bound; the last is what lies above all.
    double sum = 0;
  };
  Values Read() const {
    Values values{bounds_, {}, sum_.load(std::memory_order_relaxed)};
    for (const std::atomic<uint64_t>& count : counts_) {
      values.counts.push_back(count.load(std::memory_order_relaxed));
    }
    return values;
  }

 private:
  const std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> counts_;
  std::atomic<double> sum_{0};
};

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_HISTOGRAM_H_
