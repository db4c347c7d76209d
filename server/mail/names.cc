#include "server/mail/names.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/status_macros.h"

namespace restante::mail {
namespace {

constexpr absl::string_view kDigits = "0123456789ABCDEF";

bool IsPlain(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("-._~@+=").find(c) != absl::string_view::npos;
}

absl::Status Malformed(absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat("is not of the form ", wanted));
}

// The decoded segments of `name`, which must alternate with `collections`.
absl::StatusOr<std::vector<std::string>> Segments(absl::string_view name,
                                                  const std::vector<absl::string_view>& collections,
                                                  absl::string_view wanted) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  if (parts.size() != 2 * collections.size()) return Malformed(wanted);
  std::vector<std::string> out;
  for (size_t i = 0; i < collections.size(); ++i) {
    if (parts[2 * i] != collections[i] || parts[2 * i + 1].empty()) return Malformed(wanted);
    ASSIGN_OR_RETURN(std::string segment, PercentDecode(parts[2 * i + 1]));
    out.push_back(std::move(segment));
  }
  return out;
}

std::string CanonicalFolder(std::string folder) {
  return absl::EqualsIgnoreCase(folder, kInbox) ? std::string(kInbox) : folder;
}

}  // namespace

std::string PercentEncode(absl::string_view text) {
  std::string out;
  for (char c : text) {
    if (IsPlain(c)) {
      out.push_back(c);
    } else {
      const auto octet = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kDigits[octet >> 4]);
      out.push_back(kDigits[octet & 15]);
    }
  }
  return out;
}

absl::StatusOr<std::string> PercentDecode(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const size_t high = i + 1 < text.size() ? kDigits.find(absl::ascii_toupper(text[i + 1])) : kDigits.npos;
    const size_t low = i + 2 < text.size() ? kDigits.find(absl::ascii_toupper(text[i + 2])) : kDigits.npos;
    if (high == kDigits.npos || low == kDigits.npos) {
      return absl::InvalidArgumentError("has a percent sign without two hexadecimal digits");
    }
    out.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return out;
}

std::string DomainName(absl::string_view domain) { return absl::StrCat("domains/", PercentEncode(domain)); }

absl::StatusOr<std::string> ParseDomainName(absl::string_view name) {
  ASSIGN_OR_RETURN(std::vector<std::string> parts, Segments(name, {"domains"}, "domains/DOMAIN"));
  return ParseDomain(parts[0]);
}

std::string MailboxName(absl::string_view canonical_address) {
  return absl::StrCat("mailboxes/", PercentEncode(canonical_address));
}

std::string MailboxName(const Address& address) { return MailboxName(address.ToString()); }

absl::StatusOr<Address> ParseMailboxName(absl::string_view name) {
  ASSIGN_OR_RETURN(std::vector<std::string> parts, Segments(name, {"mailboxes"}, "mailboxes/ADDRESS"));
  return ParseAddress(parts[0]);
}

std::string AliasName(const Address& address) {
  return absl::StrCat("aliases/", PercentEncode(address.ToString()));
}

absl::StatusOr<Address> ParseAliasName(absl::string_view name) {
  ASSIGN_OR_RETURN(std::vector<std::string> parts, Segments(name, {"aliases"}, "aliases/ADDRESS"));
  return ParseAddress(parts[0]);
}

std::string MessageName(absl::string_view canonical_address, absl::string_view folder, uint64_t uid) {
  return absl::StrCat(MailboxName(canonical_address), "/folders/", PercentEncode(folder), "/messages/", uid);
}

absl::StatusOr<MessageRef> ParseMessageName(absl::string_view name) {
  constexpr absl::string_view kForm = "mailboxes/ADDRESS/folders/FOLDER/messages/UID";
  ASSIGN_OR_RETURN(std::vector<std::string> parts,
                   Segments(name, {"mailboxes", "folders", "messages"}, kForm));
  MessageRef ref;
  ASSIGN_OR_RETURN(ref.mailbox, ParseAddress(parts[0]));
  ref.folder = CanonicalFolder(std::move(parts[1]));
  // SimpleAtoi alone would take signs and blanks.
  for (char c : parts[2]) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c)))
      return absl::InvalidArgumentError("has a UID that is not a number");
  }
  if (!absl::SimpleAtoi(parts[2], &ref.uid) || ref.uid == 0) {
    return absl::InvalidArgumentError("has a UID outside of 1 to 2^64-1");
  }
  return ref;
}

absl::StatusOr<ParentRef> ParseParentName(absl::string_view name) {
  ParentRef ref;
  if (name.find("/folders/") == absl::string_view::npos) {
    ASSIGN_OR_RETURN(ref.mailbox, ParseMailboxName(name));
    return ref;
  }
  ASSIGN_OR_RETURN(std::vector<std::string> parts,
                   Segments(name, {"mailboxes", "folders"}, "mailboxes/ADDRESS/folders/FOLDER"));
  ASSIGN_OR_RETURN(ref.mailbox, ParseAddress(parts[0]));
  ref.folder = CanonicalFolder(std::move(parts[1]));
  return ref;
}

}  // namespace restante::mail
