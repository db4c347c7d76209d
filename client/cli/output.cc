#include "client/cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/units.h"
#include "server/base/utf8.h"

namespace restante::cli {
namespace {

constexpr size_t kRowsMeasured = 200;

// Columns that `text` takes, as far as one code point is one column.
size_t Width(absl::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string Padded(const std::string& text, size_t width) {
  size_t have = Width(text);
  return have >= width ? text : text + std::string(width - have, ' ');
}

}  // namespace

std::string JsonString(absl::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    size_t length = DecodeUtf8(text).octets;
    unsigned char c = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      json += "\\ufffd";
      length = 1;
    } else if (c == '"' || c == '\\') {
      json += '\\';
      json += text[0];
    } else if (c < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&json, "\\u%04x", c);
    } else {
      json.append(text.data(), length);
    }
    text.remove_prefix(length);
  }
  return json + "\"";
}

std::string Printable(absl::string_view text) {
  std::string printable;
  while (!text.empty()) {
    const CodePoint c = DecodeUtf8(text);
    const size_t length = std::max<size_t>(c.octets, 1);
    if (c.value < 0x20 || (c.value >= 0x7f && c.value < 0xa0)) {
      for (char octet : text.substr(0, length)) {
        absl::StrAppendFormat(&printable, "\\x%02x", static_cast<unsigned char>(octet));
      }
    } else {
      printable.append(text.data(), length);
    }
    text.remove_prefix(length);
  }
  return printable;
}

std::string LimitText(const v1::Limit& limit, bool size) {
  switch (limit.kind()) {
    case v1::Limit::VALUE:
      return size ? FormatSize(limit.value()) : absl::StrCat(limit.value());
    case v1::Limit::INHERIT:
      return "inherit";
    default:
      return "unlimited";
  }
}

Record& Record::Add(absl::string_view key, std::string text, std::string json) {
  cells_.push_back({std::string(key), std::move(text), std::move(json)});
  return *this;
}
Record& Record::Text(absl::string_view key, absl::string_view value) {
  return Add(key, Printable(value), JsonString(value));
}
Record& Record::Number(absl::string_view key, uint64_t value) {
  return Add(key, absl::StrCat(value), absl::StrCat(value));
}
Record& Record::Size(absl::string_view key, uint64_t octets) {
  return Add(key, FormatSize(octets), absl::StrCat(octets));
}
Record& Record::Limit(absl::string_view key, const v1::Limit& limit, bool size) {
  std::string text = LimitText(limit, size);
  std::string json = limit.kind() == v1::Limit::VALUE ? absl::StrCat(limit.value()) : JsonString(text);
  return Add(key, std::move(text), std::move(json));
}
Record& Record::Bool(absl::string_view key, bool value) {
  return Add(key, value ? "yes" : "no", value ? "true" : "false");
}
Record& Record::Share(absl::string_view key, double share) {
  return Add(key, absl::StrFormat("%.1f%%", share * 100), absl::StrFormat("%.6g", share));
}
Record& Record::Time(absl::string_view key, const google::protobuf::Timestamp& time) {
  absl::Time t = absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
  return Add(key, absl::FormatTime("%Y-%m-%d %H:%M:%S", t, absl::LocalTimeZone()),
             JsonString(absl::FormatTime("%Y-%m-%d%ET%H:%M:%E*SZ", t, absl::UTCTimeZone())));
}
Record& Record::Json(absl::string_view key, std::string json) {
  Add(key, "", std::move(json));
  cells_.back().in_table = false;
  return *this;
}

std::string Record::ToJson() const {
  std::string json = "{";
  for (const Cell& cell : cells_) {
    absl::StrAppend(&json, json.size() > 1 ? "," : "", JsonString(cell.key), ":", cell.json);
  }
  return json + "}";
}

void Printer::Add(Record record) {
  if (json_) {
    out_ << record.ToJson() << "\n";
    return;
  }
  rows_.push_back(std::move(record));
  if (rows_.size() >= kRowsMeasured) Flush();
}

void Printer::One(const Record& record) {
  if (json_) {
    out_ << record.ToJson() << "\n";
    return;
  }
  size_t width = 0;
  for (const Record::Cell& cell : record.cells_) {
    if (cell.in_table) width = std::max(width, cell.key.size());
  }
  for (const Record::Cell& cell : record.cells_) {
    if (cell.in_table) out_ << Padded(cell.key, width + 2) << cell.text << "\n";
  }
}

void Printer::Flush() {
  if (rows_.empty()) return;
  const std::vector<Record::Cell>& first = rows_[0].cells_;
  widths_.resize(std::max(widths_.size(), first.size()));
  for (const Record& row : rows_) {
    for (size_t i = 0; i < row.cells_.size() && i < widths_.size(); ++i) {
      widths_[i] = std::max({widths_[i], Width(row.cells_[i].text), row.cells_[i].key.size()});
    }
  }
  auto line = [&](const std::vector<Record::Cell>& cells, bool heading) {
    std::string text;
    for (size_t i = 0; i < cells.size(); ++i) {
      if (!cells[i].in_table) continue;
      text += Padded(heading ? cells[i].key : cells[i].text, widths_[i] + 2);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out_ << text << "\n";
  };
  if (!std::exchange(headed_, true)) line(first, /*heading=*/true);
  for (const Record& row : rows_) line(row.cells_, /*heading=*/false);
  rows_.clear();
}

Progress::Progress(std::string what, bool octets)
    : what_(std::move(what)), octets_(octets), terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::Hide() {
  if (std::exchange(shown_, false)) std::fputs("\r\033[K", stderr);
}

void Progress::Show(uint64_t done, uint64_t total, absl::string_view beside) {
  if (!terminal_) return;
  int64_t now = Clock::System()->MonotonicMicros();
  if (begun_at_ == 0) {
    begun_at_ = now;
    begun_ = done;
  }
  if (shown_ && now - shown_at_ < 100'000 && done != total) return;
  shown_ = true;
  shown_at_ = now;
  constexpr uint64_t kBar = 30;
  std::string bar;
  if (total > 0) {
    uint64_t full = std::min(kBar, done * kBar / total);
    bar = absl::StrCat(" [", std::string(full, '#'), std::string(kBar - full, '.'), "]");
  }
  const auto text = [this](uint64_t n) { return octets_ ? FormatSize(n) : absl::StrCat(n); };
  std::string left;
  if (done > begun_ && done < total && now - begun_at_ > 2'000'000) {
    const double pace = static_cast<double>(done - begun_) / static_cast<double>(now - begun_at_);
    const int64_t seconds = static_cast<int64_t>(static_cast<double>(total - done) / pace * 1e-6) + 1;
    left = absl::StrCat(", ", absl::FormatDuration(absl::Seconds(seconds)), " left");
  }
  std::fprintf(stderr, "\r\033[K%s%s %s%s%s%s", what_.c_str(), bar.c_str(), text(done).c_str(),
               total > 0 ? absl::StrCat("/", text(total)).c_str() : "", std::string(beside).c_str(),
               left.c_str());
  std::fflush(stderr);
}

}  // namespace restante::cli
