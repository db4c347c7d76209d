#include "client/smtp/command_parser.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/smtp/dsn.h"
#include "server/mail/dsn.h"

namespace restante::smtp {
namespace {

constexpr std::pair<absl::string_view, Verb> kVerbs[] = {
    {"HELO", Verb::kHelo},         {"EHLO", Verb::kEhlo},       {"LHLO", Verb::kLhlo},
    {"MAIL", Verb::kMail},         {"RCPT", Verb::kRcpt},       {"DATA", Verb::kData},
    {"RSET", Verb::kRset},         {"NOOP", Verb::kNoop},       {"VRFY", Verb::kVrfy},
    {"EXPN", Verb::kExpn},         {"HELP", Verb::kHelp},       {"QUIT", Verb::kQuit},
    {"AUTH", Verb::kNotOffered},   {"BDAT", Verb::kBdat},       {"STARTTLS", Verb::kStartTls},
    {"ETRN", Verb::kNotOffered},   {"TURN", Verb::kNotOffered}, {"SEND", Verb::kNotOffered},
    {"SOML", Verb::kNotOffered},   {"SAML", Verb::kNotOffered}, {"ATRN", Verb::kNotOffered},
    {"XFORWARD", Verb::kXforward}, {"GET", Verb::kHttp},        {"POST", Verb::kHttp},
    {"PUT", Verb::kHttp},          {"HEAD", Verb::kHttp},       {"CONNECT", Verb::kHttp},
    {"OPTIONS", Verb::kHttp},      {"DELETE", Verb::kHttp},     {"PATCH", Verb::kHttp},
    {"TRACE", Verb::kHttp},
};

absl::string_view StripBlanks(absl::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// esmtp-keyword "=" esmtp-value (RFC 5321, 4.1.2).
bool IsKeyword(absl::string_view word) {
  return !word.empty() && absl::ascii_isalnum(static_cast<unsigned char>(word.front())) &&
         std::all_of(word.begin(), word.end(),
                     [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-'; });
}

bool IsValue(absl::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(),
                                      [](unsigned char c) { return absl::ascii_isgraph(c) && c != '='; });
}

// 1*20DIGIT. Twenty digits can exceed 64 bits; such a size is as good as any
// other that is too large.
std::optional<uint64_t> ParseSize(absl::string_view digits) {
  if (digits.empty() || digits.size() > 20) return std::nullopt;
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  uint64_t value = 0;
  for (const char c : digits) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    value = value > (kMax - digit) / 10 ? kMax : value * 10 + digit;
  }
  return value;
}

Reply BadArgument(absl::string_view text) { return {kBadArgument, std::string(text)}; }

struct Parameter {
  absl::string_view keyword;
  std::optional<absl::string_view> value;

  bool Is(absl::string_view name) const { return absl::EqualsIgnoreCase(keyword, name); }
};

Reply Unknown(const Parameter& parameter) {
  return {kUnknownParameter, absl::StrCat("Unknown parameter ", Shorten(parameter.keyword))};
}

// Sets `field` to `value`, or says why not. A `field` that is not as it was made was given before.
template <typename T>
std::optional<Reply> SetOnce(const Parameter& parameter, std::optional<T> value, absl::string_view what,
                             T* field) {
  if (*field != T()) {
    return BadArgument(absl::StrCat(absl::AsciiStrToUpper(parameter.keyword), " given twice"));
  }
  if (!value.has_value()) return BadArgument(what);
  *field = *std::move(value);
  return std::nullopt;
}

std::optional<std::string> IfOk(const absl::Status& status, absl::string_view value) {
  return status.ok() ? std::optional<std::string>(value) : std::nullopt;
}

std::optional<Reply> ApplyToMail(const Parameter& parameter, bool* body_seen, Envelope* envelope) {
  const absl::string_view value = parameter.value.value_or("");
  if (parameter.Is("SIZE")) {
    if (envelope->size.has_value()) return BadArgument("SIZE given twice");
    envelope->size = ParseSize(value);
    if (!envelope->size.has_value()) return BadArgument("SIZE takes 1 to 20 digits");
    return std::nullopt;
  }
  if (parameter.Is("BODY")) {
    if (*body_seen) return BadArgument("BODY given twice");
    *body_seen = true;
    if (!IsValue(value)) return BadArgument("BODY takes 7BIT or 8BITMIME");
    if (absl::EqualsIgnoreCase(value, "7BIT") || absl::EqualsIgnoreCase(value, "8BITMIME"))
      return std::nullopt;
    return Reply{kUnknownParameter, "BODY takes 7BIT or 8BITMIME"};
  }
  if (parameter.Is("SMTPUTF8")) {
    if (parameter.value.has_value()) return BadArgument("SMTPUTF8 takes no value");
    if (envelope->smtputf8) return BadArgument("SMTPUTF8 given twice");
    envelope->smtputf8 = true;
    return std::nullopt;
  }
  if (parameter.Is("RET"))
    return SetOnce(parameter, ParseRet(value), "RET takes FULL or HDRS", &envelope->ret);
  if (parameter.Is("ENVID")) {
    return SetOnce(parameter, IfOk(dsn::CheckEnvelopeId(value), value),
                   "ENVID takes xtext of at most 100 octets", &envelope->envid);
  }
  return Unknown(parameter);
}

std::optional<Reply> ApplyToRecipient(const Parameter& parameter, const RecipientRules& rules,
                                      Envelope* envelope) {
  const absl::string_view value = parameter.value.value_or("");
  if (parameter.Is("NOTIFY")) {
    return SetOnce(parameter, ParseNotify(value), "NOTIFY takes NEVER, or SUCCESS,FAILURE,DELAY",
                   &envelope->notify);
  }
  if (parameter.Is("ORCPT")) {
    return SetOnce(parameter, IfOk(dsn::CheckOriginalRecipient(value, rules.smtputf8), value),
                   "ORCPT takes type;xtext of at most 500 octets", &envelope->orcpt);
  }
  if (parameter.Is("IGNOREQUOTA") && rules.ignore_quota) {
    if (parameter.value.has_value()) return BadArgument("IGNOREQUOTA takes no value");
    if (envelope->ignore_quota) return BadArgument("IGNOREQUOTA given twice");
    envelope->ignore_quota = true;
    return std::nullopt;
  }
  return Unknown(parameter);
}

}  // namespace

Command ParseCommand(absl::string_view line) {
  line = StripBlanks(line);
  const size_t end = std::min(line.find_first_of(" \t"), line.size());
  Command command{Verb::kUnknown, StripBlanks(line.substr(end))};
  for (const auto& [name, verb] : kVerbs) {
    if (absl::EqualsIgnoreCase(line.substr(0, end), name)) command.verb = verb;
  }
  return command;
}

Envelope ParseEnvelope(absl::string_view argument, PathKind kind, const RecipientRules& rules) {
  Envelope envelope;
  const bool reverse = kind == PathKind::kReverse;
  const absl::string_view prefix = reverse ? "FROM:" : "TO:";
  if (!absl::StartsWithIgnoreCase(argument, prefix)) {
    envelope.error = BadArgument(reverse ? "Syntax: MAIL FROM:<address>" : "Syntax: RCPT TO:<address>");
    return envelope;
  }
  // A blank behind the colon is not in the grammar and in half of all clients.
  absl::StatusOr<ParsedPath> path = ParsePath(StripBlanks(argument.substr(prefix.size())), kind);
  if (!path.ok()) {
    envelope.error = Reply{reverse ? kBadSenderSyntax : kBadRecipientSyntax,
                           absl::StrCat(reverse ? "Sender: " : "Recipient: ", path.status().message())};
    return envelope;
  }
  envelope.address = std::move(path->address);

  absl::string_view rest = path->rest;
  if (!rest.empty() && rest.front() != ' ' && rest.front() != '\t') {
    envelope.error = BadArgument("Blank expected behind the address");
    return envelope;
  }
  bool body_seen = false;
  while (!(rest = StripBlanks(rest)).empty()) {
    const size_t end = std::min(rest.find_first_of(" \t"), rest.size());
    const absl::string_view word = rest.substr(0, end);
    const size_t equals = word.find('=');
    Parameter parameter{word.substr(0, equals), std::nullopt};
    if (equals != absl::string_view::npos) parameter.value = word.substr(equals + 1);
    envelope.error = !IsKeyword(parameter.keyword) ? BadArgument("Malformed parameter")
                     : reverse                     ? ApplyToMail(parameter, &body_seen, &envelope)
                                                   : ApplyToRecipient(parameter, rules, &envelope);
    if (envelope.error.has_value()) return envelope;
    rest.remove_prefix(end);
  }
  if (!path->ascii && !(reverse ? envelope.smtputf8 : rules.smtputf8)) {
    envelope.error = Reply{kNonAsciiAddress, "The address needs SMTPUTF8"};
  }
  return envelope;
}

std::optional<Chunk> ParseChunk(absl::string_view argument) {
  const size_t end = std::min(argument.find_first_of(" \t"), argument.size());
  const absl::string_view word = StripBlanks(argument.substr(end));
  const std::optional<uint64_t> size = ParseSize(argument.substr(0, end));
  if (!size.has_value() || *size == std::numeric_limits<uint64_t>::max()) return std::nullopt;
  if (!word.empty() && !absl::EqualsIgnoreCase(word, "LAST")) return std::nullopt;
  return Chunk{*size, !word.empty()};
}

bool IsOneWordAtMost(absl::string_view argument) {
  if (argument.empty() || argument.front() != '"')
    return argument.find_first_of(" \t") == absl::string_view::npos;
  for (size_t i = 1; i < argument.size(); ++i) {
    if (argument[i] == '\\') {
      ++i;
    } else if (argument[i] == '"') {
      return i + 1 == argument.size();
    }
  }
  return false;
}

}  // namespace restante::smtp
