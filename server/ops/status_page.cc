#include "server/ops/status_page.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "server/base/units.h"
#include "server/base/utf8.h"

namespace restante::ops {
namespace {

std::string Percent(double share) { return absl::StrFormat("%.1f %%", share * 100); }

std::string Wall(int64_t wall_us) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixMicros(wall_us), absl::UTCTimeZone());
}

// A bar without a style attribute, which the policy forbids.
std::string Meter(double share, absl::string_view label) {
  const double shown = std::clamp(share, 0.0, 1.0) * 100;
  const char* const level = share >= 0.95 ? "critical" : share >= 0.8 ? "warning" : "fine";
  return absl::StrFormat(
      "<svg class=\"meter\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"%s\">"
      "<rect class=\"track\" width=\"100\" height=\"6\"/><rect class=\"%s\" width=\"%.2f\" "
      "height=\"6\"/></svg>",
      HtmlEscaped(label), level, shown);
}

std::string Tile(absl::string_view name, absl::string_view value) {
  return absl::StrCat("<div class=\"tile\"><dt>", name, "</dt><dd>", HtmlEscaped(value), "</dd></div>");
}

std::string Disk(const engine::Capacity& disk) {
  const double share =
      disk.limit == 0 ? 1 : static_cast<double>(disk.used + disk.reserved) / static_cast<double>(disk.limit);
  const std::string text = absl::StrCat(FormatSize(disk.used), " used and ", FormatSize(disk.reserved),
                                        " reserved of ", FormatSize(disk.limit), " (", Percent(share), "), ",
                                        FormatSize(disk.available), " for new mail");
  return absl::StrCat("<section><h2>Disk</h2>", Meter(share, text), "<p>", text, ". ",
                      disk.full
                          ? "<strong>Full: mail is refused (452 4.3.1) until 1 % below the high watermark "
                            "is free.</strong>"
                          : "Below the high watermark.",
                      "</p></section>");
}

std::string Fills(absl::string_view title, absl::string_view none,
                  const std::vector<StatusView::Fill>& fills) {
  std::string out = absl::StrCat("<section><h2>", title, "</h2>");
  if (fills.empty()) return absl::StrCat(out, "<p>", none, "</p></section>");
  absl::StrAppend(&out, "<table class=\"fills\"><tbody>");
  for (const StatusView::Fill& fill : fills) {
    absl::StrAppend(&out, "<tr><th scope=\"row\">", HtmlEscaped(fill.name), "</th><td>",
                    Meter(fill.share, absl::StrCat(fill.name, ": ", Percent(fill.share))),
                    "</td><td class=\"number\">", Percent(fill.share), "</td><td class=\"number\">",
                    HtmlEscaped(fill.used), "</td></tr>");
  }
  return absl::StrCat(out, "</tbody></table></section>");
}

// `mailbox full` for OUTCOME_MAILBOX_FULL.
std::string Words(v1::Outcome outcome) {
  absl::string_view name = v1::Outcome_Name(outcome);
  absl::ConsumePrefix(&name, "OUTCOME_");
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", " "}});
}

std::string Refusals(const std::vector<mail::Refusal>& refusals) {
  std::string out = "<section><h2>Recent refusals</h2>";
  if (refusals.empty()) return absl::StrCat(out, "<p>None since the start.</p></section>");
  absl::StrAppend(&out, "<table class=\"refusals\"><thead><tr><th>When</th><th>Why</th><th>Recipient</th>",
                  "<th>Client</th><th>Numbers</th></tr></thead><tbody>");
  for (const mail::Refusal& refusal : refusals) {
    absl::StrAppend(&out, "<tr><td>", Wall(refusal.wall_us), "</td><td>", HtmlEscaped(Words(refusal.outcome)),
                    "</td><td>", HtmlEscaped(refusal.recipient), "</td><td>", HtmlEscaped(refusal.client),
                    "</td><td>", HtmlEscaped(refusal.detail), "</td></tr>");
  }
  return absl::StrCat(out, "</tbody></table></section>");
}

std::string Health(const StatusView& view) {
  std::string out = "<section><h2>Health</h2>";
  if (view.problems.empty()) {
    absl::StrAppend(&out, "<p class=\"good\">&#x2713; Nothing is wrong.</p>");
  } else {
    absl::StrAppend(&out, "<ul class=\"problems\">");
    for (const std::string& problem : view.problems) {
      absl::StrAppend(&out, "<li>&#x26A0; ", HtmlEscaped(problem), "</li>");
    }
    absl::StrAppend(&out, "</ul>");
  }
  absl::StrAppend(&out, "<p>", HtmlEscaped(view.last_scrub),
                  "</p><details><summary>Figures of the engine</summary>", "<table><tbody>");
  for (const auto& [name, value] : view.engine_figures) {
    absl::StrAppend(&out, "<tr><th scope=\"row\">", HtmlEscaped(name), "</th><td class=\"number\">", value,
                    "</td></tr>");
  }
  return absl::StrCat(out, "</tbody></table></details></section>");
}

}  // namespace

std::string HtmlEscaped(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = DecodeUtf8(text).octets;
    if (length == 0) {
      absl::StrAppend(&out, "\xEF\xBF\xBD");
      text.remove_prefix(1);
      continue;
    }
    const absl::string_view piece = text.substr(0, length);
    text.remove_prefix(length);
    if (piece == "&") {
      out += "&amp;";
    } else if (piece == "<") {
      out += "&lt;";
    } else if (piece == ">") {
      out += "&gt;";
    } else if (piece == "\"") {
      out += "&quot;";
    } else if (piece == "'") {
      out += "&#39;";
    } else if (length == 1 && absl::ascii_iscntrl(static_cast<unsigned char>(piece[0]))) {
      out += "\xEF\xBF\xBD";
    } else {
      absl::StrAppend(&out, piece);
    }
  }
  return out;
}

std::string StatusHtml(const StatusView& view) {
  std::string rates =
      absl::StrCat("<section><h2>Transactions a minute</h2>", RateChart(view.minutes), "</section>");
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">"
      "<title>Restante",
      view.problems.empty() && !view.disk.full ? "" : " (!)",
      "</title><link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/status.css\">"
      "<script src=\"/status.js\" defer></script></head><body><main id=\"status\"><header><h1>Restante "
      "store</h1><p>",
      HtmlEscaped(absl::StrCat("version ", view.version, ", engine ", view.engine, ", up for ",
                               restante::FormatDuration(absl::Seconds(view.uptime_s)), ", as of ",
                               Wall(view.wall_us), view.stopping ? "; it is being stopped" : "")),
      "</p></header><dl class=\"tiles\">", Tile("messages", absl::StrCat(view.messages)),
      Tile("mail", FormatSize(view.mail_bytes)), Tile("mailboxes", absl::StrCat(view.mailboxes)),
      Tile("domains", absl::StrCat(view.domains)),
      Tile("open transactions", absl::StrCat(view.open_transactions)), "</dl>", Health(view), Disk(view.disk),
      rates,
      Fills("Mailboxes nearest to their limit", "No mailbox has both mail and a limit.",
            view.mailboxes_near_limit),
      Fills("Domains nearest to their limit", "No domain has both mail and a limit.",
            view.domains_near_limit),
      Refusals(view.refusals),
      "<footer><a href=\"/metrics\">metrics</a> <a "
      "href=\"/readyz\">ready?</a></footer></main></body></html>\n");
}

}  // namespace restante::ops
