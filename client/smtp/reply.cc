#include "client/smtp/reply.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/utf8.h"

namespace restante::smtp {
namespace {

// With CRLF (RFC 5321, 4.5.3.1.5).
constexpr size_t kMaxReplyLine = 512;
constexpr size_t kMaxQuoted = 80;

void AppendPrintable(absl::string_view text, std::string* out) {
  while (!text.empty()) {
    const size_t length = std::max<size_t>(1, NonAsciiLength(text));
    const bool fit = length > 1 || absl::ascii_isprint(static_cast<unsigned char>(text.front()));
    absl::StrAppend(out, fit ? text.substr(0, length) : "?");
    text.remove_prefix(length);
  }
}

void AppendLine(ReplyCode code, char separator, absl::string_view text, std::string* out) {
  const size_t begin = out->size();
  absl::StrAppend(out, code.code, absl::string_view(&separator, 1));
  if (code.enhanced) absl::StrAppend(out, code.code / 100, ".", code.subject, ".", code.detail, " ");
  const size_t room = kMaxReplyLine - 2 - (out->size() - begin);
  AppendPrintable(text.substr(0, std::min(text.size(), room)), out);
  out->append("\r\n");
}

}  // namespace

void AppendReply(ReplyCode code, absl::string_view text, std::string* out) {
  AppendLine(code, ' ', text, out);
}

void AppendReply(ReplyCode code, absl::Span<const std::string> texts, std::string* out) {
  for (size_t i = 0; i < texts.size(); ++i) AppendLine(code, i + 1 < texts.size() ? '-' : ' ', texts[i], out);
}

std::string FormatCode(ReplyCode code) {
  if (!code.enhanced) return absl::StrCat(code.code);
  return absl::StrCat(code.code, " ", code.code / 100, ".", code.subject, ".", code.detail);
}

std::string Shorten(absl::string_view input) {
  std::string result;
  if (input.size() <= kMaxQuoted) {
    AppendPrintable(input, &result);
    return result;
  }
  size_t end = kMaxQuoted - 3;
  // Not within a character.
  while (end > 0 && (static_cast<unsigned char>(input[end]) & 0xc0) == 0x80) --end;
  AppendPrintable(input.substr(0, end), &result);
  return result + "...";
}

}  // namespace restante::smtp
