// What the commands print: tables for people, JSON for programs.
//
// A table has human sizes and one heading line. JSON is one object a line, with
// exact numbers; a list is as many lines as it has entries.
#ifndef RESTANTE_CLIENT_CLI_OUTPUT_H_
#define RESTANTE_CLIENT_CLI_OUTPUT_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/timestamp.pb.h"
#include "restante/v1/common.pb.h"

namespace restante::cli {

// One entry: named values, each as text for people and as JSON.
class Record {
 public:
  Record& Text(absl::string_view key, absl::string_view value);
  Record& Number(absl::string_view key, uint64_t value);
  Record& Size(absl::string_view key, uint64_t octets);
  // `size`: octets, else messages. JSON: a number, "unlimited" or "inherit".
  Record& Limit(absl::string_view key, const v1::Limit& limit, bool size);
  Record& Bool(absl::string_view key, bool value);
  // In percent; JSON: the share itself.
  Record& Share(absl::string_view key, double share);
  Record& Time(absl::string_view key, const google::protobuf::Timestamp& time);
  // In JSON only: `json` is a JSON value.
  Record& Json(absl::string_view key, std::string json);

  std::string ToJson() const;

 private:
  friend class Printer;
  struct Cell {
    std::string key, text, json;
    bool in_table = true;
  };
  Record& Add(absl::string_view key, std::string text, std::string json);
  std::vector<Cell> cells_;
};

// `text` as a JSON string, quotes included. Octets that are not UTF-8 become
// U+FFFD.
std::string JsonString(absl::string_view text);
// `text` with control characters made visible, for terminals.
std::string Printable(absl::string_view text);
// `10`, `1.5M`, `unlimited`, `inherit`.
std::string LimitText(const v1::Limit& limit, bool size);

// Prints records of one kind. Memory stays bounded however many there are: the
// width of a column is that of the first rows.
class Printer {
 public:
  Printer(std::ostream& out, bool json) : out_(out), json_(json) {}
  ~Printer() { Flush(); }

  void Add(Record record);
  // A single record: a line for each value instead of a column.
  void One(const Record& record);
  void Flush();

 private:
  std::ostream& out_;
  const bool json_;
  bool headed_ = false;
  std::vector<Record> rows_;
  std::vector<size_t> widths_;
};

// A bar on standard error while something runs, if that is a terminal.
class Progress {
 public:
  // `octets`: what is counted, else things.
  explicit Progress(std::string what, bool octets = false);
  ~Progress() { Hide(); }
  // `total` may be 0: not known. `beside` is written behind it. Where the total is known
  // it says how long it takes from here on, at the pace so far.
  void Show(uint64_t done, uint64_t total, absl::string_view beside = "");
  // Makes room for a line, until Show.
  void Hide();

 private:
  const std::string what_;
  const bool octets_;
  const bool terminal_;
  int64_t shown_at_ = 0, begun_at_ = 0;
  uint64_t begun_ = 0;  // Done when it was shown first.
  bool shown_ = false;
};

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_OUTPUT_H_
