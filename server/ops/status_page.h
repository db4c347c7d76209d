// The status page: what an operator wants to see at a glance, as one HTML page that
// works without JavaScript and updates itself with it. It loads nothing but its own
// style sheet and script (see OperationsServer::kContentSecurityPolicy).
#ifndef RESTANTE_SERVER_OPS_STATUS_PAGE_H_
#define RESTANTE_SERVER_OPS_STATUS_PAGE_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/engine/types.h"
#include "server/mail/recent_refusals.h"
#include "server/ops/rate_history.h"

namespace restante::ops {

// Everything that the page shows.
struct StatusView {
  // Something nearest to its limit.
  struct Fill {
    std::string name;  // `alice@example.org`, `example.org`
    std::string used;  // `900M of 1G`, for people
    double share = 0;  // 1 is full.
  };

  std::string version, engine;
  int64_t uptime_s = 0;
  int64_t wall_us = 0;  // Now.
  bool stopping = false;
  // What is wrong, one sentence each; empty: nothing.
  std::vector<std::string> problems;
  engine::Capacity disk;
  uint64_t domains = 0, mailboxes = 0, messages = 0, mail_bytes = 0, open_transactions = 0;
  RateHistory::Minutes minutes = {};
  std::vector<Fill> mailboxes_near_limit, domains_near_limit;
  std::vector<mail::Refusal> refusals;
  std::string last_scrub;  // A sentence.
  std::map<std::string, uint64_t> engine_figures;
};

std::string StatusHtml(const StatusView& view);

// What `/` needs beside it.
extern const char kStatusCss[];  // /status.css
extern const char kStatusJs[];   // /status.js

// For text between tags and in quoted attributes. Octets that are no UTF-8 become U+FFFD.
std::string HtmlEscaped(absl::string_view text);

// Bars of sixty minutes, each stacked by outcome (status_chart.cc).
std::string RateChart(const RateHistory::Minutes& minutes);

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_STATUS_PAGE_H_
