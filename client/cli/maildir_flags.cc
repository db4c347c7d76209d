#include "client/cli/maildir_flags.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/local_files.h"

namespace restante::cli {
namespace {

constexpr size_t kMaxKeywords = 26;
constexpr char kDovecotFile[] = "/dovecot-keywords";

constexpr std::pair<char, v1::Flag> kFlags[] = {{'D', v1::FLAG_DRAFT},  {'F', v1::FLAG_FLAGGED},
                                                {'P', v1::FLAG_PASSED}, {'R', v1::FLAG_ANSWERED},
                                                {'S', v1::FLAG_SEEN},   {'T', v1::FLAG_DELETED}};

}  // namespace

absl::string_view BaseOf(absl::string_view name) { return name.substr(0, name.find(':')); }

absl::string_view LettersOf(absl::string_view name) {
  name.remove_prefix(BaseOf(name).size());
  return absl::ConsumePrefix(&name, ":2,") ? name : "";
}

std::vector<v1::Flag> FlagsOfLetters(absl::string_view letters) {
  std::vector<v1::Flag> flags;
  for (const auto& [letter, flag] : kFlags) {
    if (absl::StrContains(letters, letter)) flags.push_back(flag);
  }
  return flags;
}

std::string LettersOfFlags(const google::protobuf::RepeatedField<int>& flags) {
  std::string letters;
  for (const auto& [letter, flag] : kFlags) {
    if (std::find(flags.begin(), flags.end(), flag) != flags.end()) letters += letter;
  }
  return letters;
}

std::string FlagWords(const google::protobuf::RepeatedField<int>& flags) {
  return absl::StrJoin(flags, ",", [](std::string* out, int flag) {
    const std::string name = v1::Flag_Name(static_cast<v1::Flag>(flag));
    absl::StrAppend(out, absl::AsciiStrToLower(absl::StripPrefix(name, "FLAG_")));
  });
}

absl::StatusOr<MaildirKeywords> MaildirKeywords::Read(const std::string& directory) {
  MaildirKeywords out;
  const absl::StatusOr<std::string> file = ReadWholeFile(directory + kDovecotFile);
  if (absl::IsNotFound(file.status())) return out;
  if (!file.ok()) return file.status();
  for (const absl::string_view line : absl::StrSplit(*file, '\n')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    size_t number = 0;
    if (!absl::SimpleAtoi(parts.first, &number) || number >= kMaxKeywords || parts.second.empty()) continue;
    out.keywords_.resize(std::max(out.keywords_.size(), number + 1));
    out.keywords_[number] = std::string(parts.second);
  }
  return out;
}

std::string MaildirKeywords::KeywordOf(char letter) const {
  const auto number = static_cast<size_t>(letter - 'a');
  return letter >= 'a' && number < keywords_.size() ? keywords_[number] : "";
}

std::optional<char> MaildirKeywords::LetterOf(absl::string_view keyword) const {
  for (size_t i = 0; i < keywords_.size(); ++i) {
    if (absl::EqualsIgnoreCase(keywords_[i], keyword)) return static_cast<char>('a' + i);
  }
  return std::nullopt;
}

std::optional<char> MaildirKeywords::Add(const std::string& keyword) {
  if (keywords_.size() >= kMaxKeywords) return std::nullopt;
  keywords_.push_back(keyword);
  return static_cast<char>('a' + keywords_.size() - 1);
}

absl::Status MaildirKeywords::Write(const std::string& directory) const {
  std::string text;
  for (size_t i = 0; i < keywords_.size(); ++i) {
    if (!keywords_[i].empty()) absl::StrAppend(&text, i, " ", keywords_[i], "\n");
  }
  return ReplaceFile(directory + kDovecotFile, text);
}

absl::flat_hash_map<std::string, std::vector<std::string>> ReadCourierKeywords(const std::string& directory) {
  absl::flat_hash_map<std::string, std::vector<std::string>> out;
  const absl::StatusOr<std::string> file = ReadWholeFile(directory + "/courierimapkeywords/:list");
  if (!file.ok()) return out;
  std::vector<std::string> keywords;
  bool named = false;  // All keywords have been.
  for (const absl::string_view line : absl::StrSplit(*file, '\n')) {
    if (!named) {
      named = line.empty();
      if (!named) keywords.emplace_back(line);
      continue;
    }
    const size_t colon = line.rfind(':');
    if (colon == absl::string_view::npos) continue;
    for (const absl::string_view word : absl::StrSplit(line.substr(colon + 1), ' ')) {
      size_t number = 0;
      if (!absl::SimpleAtoi(word, &number) || number >= keywords.size()) continue;
      out[std::string(line.substr(0, colon))].push_back(keywords[number]);
    }
  }
  return out;
}

}  // namespace restante::cli
