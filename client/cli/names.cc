#include "client/cli/names.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace restante::cli {
namespace {

std::string Name(absl::string_view collection, absl::string_view id) {
  if (absl::StartsWith(id, collection)) return std::string(id);
  std::string name(collection);
  for (char c : id) {
    // RFC 3986 2.3 (unreserved), and what addresses are full of.
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
        absl::string_view("-._~@+=").find(c) != absl::string_view::npos) {
      name += c;
    } else {
      absl::StrAppend(&name, "%", absl::AsciiStrToUpper(absl::BytesToHexString(absl::string_view(&c, 1))));
    }
  }
  return name;
}

}  // namespace

std::string DomainName(absl::string_view id) { return Name("domains/", id); }
std::string MailboxName(absl::string_view address) { return Name("mailboxes/", address); }
std::string AliasName(absl::string_view address) { return Name("aliases/", address); }

std::string MessageName(absl::string_view mailbox, uint64_t uid) {
  return absl::StrCat(mailbox, "/folders/INBOX/messages/", uid);
}

std::string EncodedIdOf(absl::string_view name) {
  size_t slash = name.find('/');
  return std::string(slash == absl::string_view::npos ? name : name.substr(slash + 1));
}

std::string IdOf(absl::string_view name) {
  std::string encoded = EncodedIdOf(name), id;
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

}  // namespace restante::cli
