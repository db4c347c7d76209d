#include "client/cli/names.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace restante::cli {
namespace {

// Percent-encodes what is neither unreserved (RFC 3986, 2.3) nor what addresses are full
// of.
std::string Encode(absl::string_view id) {
  std::string text;
  for (char c : id) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
        absl::string_view("-._~@+=").find(c) != absl::string_view::npos) {
      text += c;
    } else {
      absl::StrAppend(&text, "%", absl::AsciiStrToUpper(absl::BytesToHexString(absl::string_view(&c, 1))));
    }
  }
  return text;
}

std::string Decode(absl::string_view encoded) {
  std::string id;
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '%' && i + 2 < encoded.size() &&
        absl::ascii_isxdigit(static_cast<unsigned char>(encoded[i + 1])) &&
        absl::ascii_isxdigit(static_cast<unsigned char>(encoded[i + 2]))) {
      id += absl::HexStringToBytes(encoded.substr(i + 1, 2));
      i += 2;
    } else {
      id += encoded[i];
    }
  }
  return id;
}

std::string Name(absl::string_view collection, absl::string_view id) {
  if (absl::StartsWith(id, collection)) return std::string(id);
  return absl::StrCat(collection, Encode(id));
}

}  // namespace

std::string DomainName(absl::string_view id) { return Name("domains/", id); }
std::string MailboxName(absl::string_view address) { return Name("mailboxes/", address); }
std::string AliasName(absl::string_view address) { return Name("aliases/", address); }

std::string FolderName(absl::string_view mailbox, absl::string_view folder) {
  return absl::StrCat(mailbox, "/folders/", Encode(folder));
}

std::string MessageName(absl::string_view mailbox, absl::string_view folder, uint64_t uid) {
  return absl::StrCat(FolderName(mailbox, folder), "/messages/", uid);
}

std::string FolderOf(absl::string_view message) {
  const std::vector<absl::string_view> parts = absl::StrSplit(message, '/');
  return parts.size() > 3 ? Decode(parts[3]) : "";
}

std::string EncodedIdOf(absl::string_view name) {
  size_t slash = name.find('/');
  return std::string(slash == absl::string_view::npos ? name : name.substr(slash + 1));
}

std::string IdOf(absl::string_view name) { return Decode(EncodedIdOf(name)); }

}  // namespace restante::cli
