// What stands behind `:2,` in the names of a Maildir: flags by capital letters, and
// keywords by small ones.
#ifndef RESTANTE_CLIENT_CLI_MAILDIR_FLAGS_H_
#define RESTANTE_CLIENT_CLI_MAILDIR_FLAGS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "restante/v1/message.pb.h"

namespace restante::cli {

// A name of new or cur in its parts: the name proper, and the letters.
absl::string_view BaseOf(absl::string_view name);
absl::string_view LettersOf(absl::string_view name);

// Of `DFPRST`; for API and names. Other letters mean nothing.
std::vector<v1::Flag> FlagsOfLetters(absl::string_view letters);
// In the order of their ASCII codes.
std::string LettersOfFlags(const google::protobuf::RepeatedField<int>& flags);
// `flagged,seen`, for people.
std::string FlagWords(const google::protobuf::RepeatedField<int>& flags);

// Keywords of one folder, as the file `dovecot-keywords` has them: a line `0 Name`
// for the letter `a`, up to 25 for `z`.
class MaildirKeywords {
 public:
  // Of a file that is not there: none. Lines that are not understood count for nothing.
  static absl::StatusOr<MaildirKeywords> Read(const std::string& directory);

  // Empty: there is none.
  std::string KeywordOf(char letter) const;
  std::optional<char> LetterOf(absl::string_view keyword) const;
  // Gives it a letter; nothing if all are taken.
  std::optional<char> Add(const std::string& keyword);
  absl::Status Write(const std::string& directory) const;

 private:
  std::vector<std::string> keywords_;  // By letter; empty: free.
};

// Keywords of messages by the names proper, as Courier has them in
// `courierimapkeywords/:list`: keywords one a line, an empty line, and lines
// `name:0 1` with the numbers of keywords. Nothing if there is no such file.
absl::flat_hash_map<std::string, std::vector<std::string>> ReadCourierKeywords(const std::string& directory);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_MAILDIR_FLAGS_H_
