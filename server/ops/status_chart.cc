// The status page's plot, as SVG in the page itself.
#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/ops/status_page.h"

namespace restante::ops {
namespace {

constexpr int kBar = 10, kGap = 2, kHeight = 120, kLeft = 44, kBottom = 18;

struct Series {
  const char* name;
  uint64_t OutcomeCounts::*count;
};
// From the bottom of a bar to its top.
constexpr Series kSeries[] = {{"stored", &OutcomeCounts::stored},
                              {"suppressed", &OutcomeCounts::suppressed},
                              {"refused", &OutcomeCounts::refused},
                              {"aborted", &OutcomeCounts::aborted}};

// The next of 1, 2, 5, 10, 20, ... that is no less.
uint64_t NiceCeiling(uint64_t value) {
  uint64_t unit = 1;
  while (true) {
    for (const uint64_t step : {1, 2, 5}) {
      if (unit * step >= value) return unit * step;
    }
    unit *= 10;
  }
}

}  // namespace

std::string RateChart(const RateHistory::Minutes& minutes) {
  uint64_t most = 1;
  for (const OutcomeCounts& minute : minutes) most = std::max(most, minute.total());
  const uint64_t top = NiceCeiling(most);
  const int width = kLeft + static_cast<int>(minutes.size()) * (kBar + kGap);
  std::string svg = absl::StrCat(
      "<svg class=\"rates\" viewBox=\"0 0 ", width, " ", kHeight + kBottom + 8,
      "\" role=\"img\" aria-label=\"Transactions a minute, the last hour; at most ", most, "\">");
  for (const auto& [part, y] : {std::pair{1.0, 0}, {0.5, kHeight / 2}, {0.0, kHeight}}) {
    absl::StrAppend(&svg, "<line class=\"grid\" x1=\"", kLeft, "\" x2=\"", width, "\" y1=\"", y + 4,
                    "\" y2=\"", y + 4, "\"/><text x=\"", kLeft - 6, "\" y=\"", y + 8,
                    "\" text-anchor=\"end\">", absl::StrFormat("%g", part * static_cast<double>(top)),
                    "</text>");
  }
  for (size_t i = 0; i < minutes.size(); ++i) {
    const OutcomeCounts& minute = minutes[i];
    const int x = kLeft + static_cast<int>(i) * (kBar + kGap);
    const size_t ago = minutes.size() - 1 - i;
    absl::StrAppend(&svg, "<g><title>", ago == 0 ? "this minute" : absl::StrCat(ago, " min ago"), ":");
    for (const Series& series : kSeries) {
      absl::StrAppend(&svg, " ", minute.*series.count, " ", series.name,
                      &series == std::end(kSeries) - 1 ? "" : ",");
    }
    // All of the column tells, not the bar alone.
    absl::StrAppend(&svg, "</title><rect class=\"hover\" x=\"", x, "\" y=\"4\" width=\"", kBar + kGap,
                    "\" height=\"", kHeight, "\"/>");
    double bottom = kHeight + 4;
    for (const Series& series : kSeries) {
      const double height = static_cast<double>(minute.*series.count) / static_cast<double>(top) * kHeight;
      if (height == 0) continue;
      bottom -= height;
      absl::StrAppendFormat(&svg, "<rect class=\"%s\" x=\"%d\" y=\"%.2f\" width=\"%d\" height=\"%.2f\"/>",
                            series.name, x, bottom, kBar, height);
    }
    absl::StrAppend(&svg, "</g>");
  }
  for (const int ago : {60, 45, 30, 15, 0}) {
    const int x = kLeft + (static_cast<int>(minutes.size()) - ago) * (kBar + kGap);
    absl::StrAppend(&svg, "<text x=\"", x, "\" y=\"", kHeight + kBottom + 4, "\" text-anchor=\"",
                    ago == 0    ? "end"
                    : ago == 60 ? "start"
                                : "middle",
                    "\">", ago == 0 ? "now" : absl::StrCat(ago, " min ago"), "</text>");
  }
  absl::StrAppend(&svg, "</svg><ul class=\"legend\">");
  for (const Series& series : kSeries) {
    uint64_t sum = 0;
    for (const OutcomeCounts& minute : minutes) sum += minute.*series.count;
    absl::StrAppend(&svg, "<li><span class=\"key ", series.name, "\"></span>", series.name, " <b>", sum,
                    "</b></li>");
  }
  absl::StrAppend(&svg, "</ul>");
  return svg;
}

}  // namespace restante::ops
