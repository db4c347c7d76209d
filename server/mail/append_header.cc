#include "server/mail/append_header.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/status_macros.h"
#include "server/mail/errors.h"
#include "server/mail/folders.h"
#include "server/mail/message_limits.h"

namespace restante::mail {
namespace {

absl::Status CheckKeyword(absl::string_view field, absl::string_view keyword) {
  if (keyword.empty() || keyword.size() > kMaxKeywordOctets) {
    return InvalidField(field, absl::StrCat("has a keyword of ", keyword.size(), " octets, 1 to ",
                                            kMaxKeywordOctets, " are taken"));
  }
  if (!HasKeywordCharactersOnly(keyword)) {
    return InvalidField(field, "has a keyword with characters that are not taken");
  }
  return absl::OkStatus();
}

absl::Status CheckAddress(absl::string_view field, absl::string_view address) {
  if (address.size() > kMaxAddressOctets) {
    return InvalidField(
        field, absl::StrCat("has ", address.size(), " octets, at most ", kMaxAddressOctets, " are taken"));
  }
  if (std::any_of(address.begin(), address.end(), absl::ascii_iscntrl)) {
    return InvalidField(field, "has control characters");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckHeader(AppendHeader& header) {
  if (header.parent.folder) {
    if (const absl::Status good = CheckFolderName(*header.parent.folder); !good.ok()) {
      return InvalidField("header.parent", good.message());
    }
  }
  RETURN_IF_ERROR(CheckAddress("header.sender", header.sender));
  RETURN_IF_ERROR(CheckAddress("header.recipient", header.recipient));
  constexpr char kKeywords[] = "header.keywords";
  if (header.keywords.size() > kMaxKeywords) {
    return InvalidField(kKeywords, absl::StrCat("has ", header.keywords.size(), " keywords, at most ",
                                                kMaxKeywords, " are taken"));
  }
  absl::flat_hash_set<std::string> seen;
  std::vector<std::string> kept;
  for (std::string& keyword : header.keywords) {
    RETURN_IF_ERROR(CheckKeyword(kKeywords, keyword));
    if (seen.insert(absl::AsciiStrToLower(keyword)).second) kept.push_back(std::move(keyword));
  }
  header.keywords = std::move(kept);
  return absl::OkStatus();
}

}  // namespace restante::mail
