#include "client/cli/message_file.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "server/base/utf8.h"
#include "server/mail/message_limits.h"

namespace restante::cli {
namespace {

bool IsEnvelopeAddress(absl::string_view address) {
  return address.size() <= mail::kMaxAddressOctets && HeaderSafe(address) == address && IsUtf8(address);
}

// Takes the first line, without its end, which has to be `end`.
std::optional<absl::string_view> TakeLine(absl::string_view end, absl::string_view* text) {
  const size_t lf = text->find('\n');
  if (lf == absl::string_view::npos) return std::nullopt;
  absl::string_view line = text->substr(0, lf + 1);
  text->remove_prefix(lf + 1);
  if (!absl::ConsumeSuffix(&line, end)) return std::nullopt;
  return line;
}

}  // namespace

bool HasOnlyCrlf(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') return false;
    if (text[i] != '\r') continue;
    if (++i == text.size() || text[i] != '\n') return false;
  }
  return true;
}

std::string TextToCrlf(std::string text) {
  if (absl::StrContains(text, "\r\n")) return text;
  return absl::StrReplaceAll(text, {{"\n", "\r\n"}});
}

std::string WithCrlf(absl::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 32);
  while (!text.empty()) {
    const size_t lf = text.find('\n');
    out.append(text.data(), std::min(lf, text.size()));
    if (lf == absl::string_view::npos) break;
    absl::StrAppend(&out, lf > 0 && text[lf - 1] == '\r' ? "\n" : "\r\n");
    text.remove_prefix(lf + 1);
  }
  return out;
}

std::string WithoutCr(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::copy_if(text.begin(), text.end(), std::back_inserter(out), [](char c) { return c != '\r'; });
  return out;
}

std::string HeaderSafe(absl::string_view address) {
  std::string safe(address);
  std::replace_if(
      safe.begin(), safe.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return safe;
}

std::string ToMessageFile(absl::string_view sender, absl::string_view recipient, std::string message) {
  const bool lossless = HasOnlyCrlf(message);
  const char* end = lossless ? "\n" : "\r\n";
  std::string file = absl::StrCat("Return-Path: <", HeaderSafe(sender), ">", end,
                                  "Delivered-To: ", HeaderSafe(recipient), end);
  absl::StrAppend(&file, lossless ? WithoutCr(message) : std::move(message));
  return file;
}

FileMessage ParseMessageFile(absl::string_view file) {
  FileMessage out;
  const size_t lf = file.find('\n');
  const bool verbatim = lf == absl::string_view::npos || (lf > 0 && file[lf - 1] == '\r');
  const absl::string_view end = verbatim ? "\r\n" : "\n";
  absl::string_view behind = file;
  std::optional<absl::string_view> path = TakeLine(end, &behind);
  if (path && absl::StartsWithIgnoreCase(*path, "Return-Path:")) {
    const bool ours = absl::ConsumePrefix(&*path, "Return-Path: <");
    if (!ours) {
      path->remove_prefix(path->find(':') + 1);
      *path = absl::StripAsciiWhitespace(*path);
      if (!absl::ConsumePrefix(&*path, "<")) path.reset();
    }
    if (path && absl::ConsumeSuffix(&*path, ">") && IsEnvelopeAddress(*path)) {
      out.sender = std::string(*path);
      std::optional<absl::string_view> to = TakeLine(end, &behind);
      if (ours && to && absl::ConsumePrefix(&*to, "Delivered-To: ") && !to->empty() &&
          !absl::StartsWith(*to, "<") && IsEnvelopeAddress(*to)) {
        out.recipient = std::string(*to);
        out.has_envelope = true;
        file = behind;
      }
    }
  }
  out.text = verbatim ? std::string(file) : WithCrlf(file);
  return out;
}

}  // namespace restante::cli
