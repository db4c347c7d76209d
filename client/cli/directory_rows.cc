#include "client/cli/directory_rows.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/values.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

using Kind = DirectoryRow::Kind;
using Cells = std::map<std::string, std::string>;

constexpr double kExact = 9007199254740992;  // 2^53: JSON's numbers are exact up to here.

struct Columns {
  std::vector<absl::string_view> settable, told;
};

// By kind; what is told comes from `list` and says how things are.
const Columns& ColumnsOf(Kind kind) {
  static const Columns kDomain = {
      {"default_bytes", "default_messages", "max_bytes", "over_quota", "catch_all"},
      {"mailboxes", "used", "reserved", "messages"}};
  static const Columns kMailbox = {
      {"bytes", "messages", "state"},
      {"used", "reserved", "effective_bytes", "held_messages", "effective_messages", "reserved_messages",
       "id", "uid_validity", "uid_next"}};
  static const Columns kAlias = {{"mailbox"}, {}};
  return kind == Kind::kDomain ? kDomain : kind == Kind::kMailbox ? kMailbox : kAlias;
}

bool Has(const std::vector<absl::string_view>& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

absl::Status CheckValue(Kind kind, const std::string& column, const std::string& value) {
  if (column == "state") return ParseState(value).status();
  if (column == "over_quota") return ParsePolicy(value).status();
  if (column == "mailbox" || column == "catch_all") {
    if (value.find('@') != std::string::npos || (kind == Kind::kDomain && value == "none"))
      return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("`", value, "` is no address"));
  }
  ASSIGN_OR_RETURN(const v1::Limit limit,
                   ParseLimit(value, column != "messages" && column != "default_messages"));
  if (column == "max_bytes" && limit.kind() == v1::Limit::INHERIT) {
    return absl::InvalidArgumentError("a domain has nothing to inherit max_bytes from");
  }
  return absl::OkStatus();
}

absl::StatusOr<DirectoryRow> ToRow(Cells cells) {
  DirectoryRow row;
  if (cells.contains("alias")) {
    row.kind = Kind::kAlias;
  } else if (cells.contains("mailbox")) {
    row.kind = Kind::kMailbox;
  } else if (cells.contains("domain")) {
    row.kind = Kind::kDomain;
  } else {
    return absl::InvalidArgumentError("has none of domain, mailbox, alias");
  }
  row.name = cells[KindName(row.kind)];
  cells.erase(KindName(row.kind));
  if ((row.name.find('@') == std::string::npos) != (row.kind == Kind::kDomain)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", row.name, "` is no ", row.kind == Kind::kDomain ? "domain" : "address"));
  }
  const Columns& columns = ColumnsOf(row.kind);
  for (auto& [column, value] : cells) {
    if (Has(columns.settable, column)) {
      if (absl::Status status = CheckValue(row.kind, column, value); !status.ok()) {
        return absl::InvalidArgumentError(absl::StrCat(column, ": ", status.message()));
      }
      row.fields.emplace(column, std::move(value));
    } else if (!Has(columns.told, column)) {
      return absl::InvalidArgumentError(absl::StrCat("a ", KindName(row.kind), " has no ", column, " (",
                                                     absl::StrJoin(columns.settable, ", "), ")"));
    }
  }
  if (row.kind == Kind::kAlias && !row.fields.contains("mailbox")) {
    return absl::InvalidArgumentError("an alias needs its mailbox");
  }
  return row;
}

absl::StatusOr<Cells> FromJson(const std::string& line) {
  google::protobuf::Struct object;
  const auto parsed = google::protobuf::util::JsonStringToMessage(line, &object);
  if (!parsed.ok()) {
    // The library shows the line below its words.
    const std::string words(parsed.message());
    return absl::InvalidArgumentError(absl::StrCat("is no JSON object: ", words.substr(0, words.find('\n'))));
  }
  Cells cells;
  // By reflection, for the library's own maps are laid out otherwise than ours are
  // where ThreadSanitizer is on.
  const google::protobuf::Reflection& outer = *object.GetReflection();
  const google::protobuf::FieldDescriptor* const fields = object.GetDescriptor()->FindFieldByName("fields");
  for (int i = 0; i < outer.FieldSize(object, fields); ++i) {
    const google::protobuf::Message& entry = outer.GetRepeatedMessage(object, fields, i);
    const google::protobuf::Reflection& inner = *entry.GetReflection();
    const std::string key = inner.GetString(entry, entry.GetDescriptor()->map_key());
    const auto& value = static_cast<const google::protobuf::Value&>(
        inner.GetMessage(entry, entry.GetDescriptor()->map_value()));
    if (value.has_string_value()) {
      cells.emplace(key, value.string_value());
    } else if (value.has_number_value()) {
      const double number = value.number_value();
      if (number < 0 || number > kExact || number != std::floor(number)) {
        return absl::InvalidArgumentError(
            absl::StrCat(key, ": ", number, " is not a whole number up to 2^53"));
      }
      cells.emplace(key, absl::StrCat(static_cast<uint64_t>(number)));
    } else if (!value.has_null_value()) {
      return absl::InvalidArgumentError(absl::StrCat(key, ": is neither a string nor a number"));
    }
  }
  return cells;
}

// The cells of one record of CSV, which may take several lines; nothing at the end.
class CsvReader {
 public:
  explicit CsvReader(std::istream& in) : in_(in) {}

  size_t line() const { return line_; }  // Of the last record's begin.

  absl::StatusOr<std::optional<std::vector<std::string>>> Next() {
    std::string text;
    if (!Line(&text)) return std::nullopt;
    line_ = lines_;
    std::vector<std::string> cells(1);
    bool quoted = false, after_quotes = false;
    for (size_t at = 0;; ++at) {
      if (at == text.size()) {
        if (!quoted) return cells;
        cells.back() += '\n';
        if (!Line(&text)) return absl::InvalidArgumentError("a quoted value does not end");
        at = static_cast<size_t>(-1);
      } else if (quoted && text[at] == '"' && at + 1 < text.size() && text[at + 1] == '"') {
        cells.back() += text[++at];
      } else if (quoted && text[at] == '"') {
        quoted = false;
        after_quotes = true;
      } else if (quoted) {
        cells.back() += text[at];
      } else if (text[at] == ',') {
        cells.emplace_back();
        after_quotes = false;
      } else if (text[at] == '"' && cells.back().empty() && !after_quotes) {
        quoted = true;
      } else if (text[at] == '"' || after_quotes) {
        return absl::InvalidArgumentError("a quote stands within a value");
      } else {
        cells.back() += text[at];
      }
    }
  }

 private:
  bool Line(std::string* text) {
    if (!std::getline(in_, *text)) return false;
    ++lines_;
    if (!text->empty() && text->back() == '\r') text->pop_back();
    return true;
  }

  std::istream& in_;
  size_t lines_ = 0, line_ = 0;
};

}  // namespace

const char* KindName(Kind kind) {
  return kind == Kind::kDomain ? "domain" : kind == Kind::kMailbox ? "mailbox" : "alias";
}

std::string NameKey(absl::string_view name) { return absl::AsciiStrToLower(name); }

absl::Status ReadDirectoryRows(std::istream& in, const std::string& file, std::vector<DirectoryRow>* rows,
                               std::vector<std::string>* problems) {
  absl::flat_hash_map<std::string, size_t> seen;  // Kind and name; the line.
  const auto problem = [&](size_t line, absl::string_view text) {
    problems->push_back(absl::StrCat(file, ":", line, ": ", text));
  };
  const auto take = [&](size_t line, absl::StatusOr<Cells> cells) {
    absl::StatusOr<DirectoryRow> row = cells.ok() ? ToRow(*std::move(cells)) : cells.status();
    if (!row.ok()) return problem(line, row.status().message());
    row->line = line;
    const auto [at, first] = seen.emplace(absl::StrCat(KindName(row->kind), " ", NameKey(row->name)), line);
    if (!first) return problem(line, absl::StrCat(at->first, ": was on line ", at->second, " already"));
    rows->push_back(*std::move(row));
  };
  // Spreadsheets put a byte order mark in front.
  if (in.peek() == 0xEF) in.ignore(3);
  if (in.peek() == '{') {
    std::string line;
    for (size_t number = 1; std::getline(in, line); ++number) {
      if (!absl::StripAsciiWhitespace(line).empty()) take(number, FromJson(line));
    }
  } else {
    CsvReader reader(in);
    std::vector<std::string> columns;
    while (true) {
      absl::StatusOr<std::optional<std::vector<std::string>>> record = reader.Next();
      if (!record.ok()) {
        problem(reader.line(), record.status().message());
        break;  // Where the next one begins nobody knows.
      }
      if (!*record) break;
      std::vector<std::string>& cells = **record;
      if (columns.empty()) {
        columns = std::move(cells);
        continue;
      }
      if (cells.size() == 1 && cells[0].empty()) continue;
      if (cells.size() != columns.size()) {
        problem(reader.line(),
                absl::StrCat("has ", cells.size(), " values for ", columns.size(), " columns"));
        continue;
      }
      Cells named;
      for (size_t i = 0; i < cells.size(); ++i) {
        if (!cells[i].empty()) named.emplace(columns[i], std::move(cells[i]));
      }
      take(reader.line(), std::move(named));
    }
  }
  if (in.bad()) return absl::DataLossError(absl::StrCat(file, ": cannot be read to its end"));
  return absl::OkStatus();
}

}  // namespace restante::cli
