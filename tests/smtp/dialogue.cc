#include "tests/smtp/dialogue.h"

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/smtp/proxy_header.h"
#include "server/base/status_macros.h"

namespace restante::smtp {
namespace {

using Kind = DialogueStep::Kind;

absl::Status At(const Dialogue& dialogue, const DialogueStep& step, const absl::Status& status) {
  return Annotate(status, absl::StrCat(dialogue.name, ":", step.line));
}

absl::Status ApplyOption(absl::string_view text, Dialogue* dialogue) {
  SessionOptions* const options = &dialogue->options;
  if (text == "trusted") {
    dialogue->trusted = true;
    return absl::OkStatus();
  }
  const std::vector<std::string> words = absl::StrSplit(text, ' ');
  if (words.size() == 2) {
    const std::string& value = words[1];
    if (words[0] == "protocol" && value == "lmtp") {
      options->protocol = Protocol::kLmtp;
      return absl::OkStatus();
    }
    if (words[0] == "max-errors" && absl::SimpleAtoi(value, &options->max_errors)) return absl::OkStatus();
    if (words[0] == "max-idle-commands" && absl::SimpleAtoi(value, &options->max_idle_commands)) {
      return absl::OkStatus();
    }
    if (words[0] == "max-recipients" && absl::SimpleAtoi(value, &options->max_recipients))
      return absl::OkStatus();
    if (words[0] == "bare-newline" && value == "refuse") {
      options->bare_newline = BareNewline::kRefuse;
      return absl::OkStatus();
    }
    if (words[0] == "reply-detail" && value == "none") {
      options->reply_detail = false;
      return absl::OkStatus();
    }
    if (words[0] == "unknown-recipient" && value == "tempfail") {
      options->unknown_recipient = UnknownRecipient::kTempfail;
      return absl::OkStatus();
    }
  }
  if (text == "advertise-dsn") {
    options->advertise_dsn = true;
    return absl::OkStatus();
  }
  if (text == "starttls") {
    options->offer_tls = true;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown option `", text, "`"));
}

absl::Status ApplyProxy(const std::string& text, Dialogue* dialogue) {
  ASSIGN_OR_RETURN(dialogue->proxy_header, Unescape(text));
  const ProxyHeader header = ParseProxyHeader(dialogue->proxy_header);
  if (header.state != ProxyHeader::State::kComplete || header.length != dialogue->proxy_header.size()) {
    return absl::InvalidArgumentError("not one whole header");
  }
  dialogue->client = header.client.empty() ? "127.0.0.1" : header.client;
  return absl::OkStatus();
}

std::string Printable(const std::string& text) {
  std::string result = absl::StrCat("`", text.substr(0, 200), "`");
  if (text.size() > 200) absl::StrAppend(&result, " (", text.size(), " octets)");
  return result;
}

}  // namespace

absl::StatusOr<std::string> Unescape(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      result.push_back(text[i]);
      continue;
    }
    const char c = ++i < text.size() ? text[i] : '?';
    if (c == 'r') {
      result.push_back('\r');
    } else if (c == 'n') {
      result.push_back('\n');
    } else if (c == 't') {
      result.push_back('\t');
    } else if (c == '0') {
      result.push_back('\0');
    } else if (c == '\\') {
      result.push_back('\\');
    } else if (c == 'x' && i + 2 < text.size()) {
      result.push_back(static_cast<char>(std::strtol(text.substr(i + 1, 2).c_str(), nullptr, 16)));
      i += 2;
    } else if (c == '{') {
      const size_t colon = text.find(':', i);
      const size_t end = text.find('}', i);
      int times = 0;
      if (colon == std::string::npos || end == std::string::npos ||
          !absl::SimpleAtoi(text.substr(i + 1, colon - i - 1), &times)) {
        return absl::InvalidArgumentError("malformed \\{N:text}");
      }
      ASSIGN_OR_RETURN(const std::string piece, Unescape(text.substr(colon + 1, end - colon - 1)));
      for (int n = 0; n < times; ++n) result += piece;
      i = end;
    } else {
      return absl::InvalidArgumentError(absl::StrCat("unknown escape \\", std::string(1, c)));
    }
  }
  return result;
}

absl::StatusOr<Dialogue> ParseDialogue(const std::string& name, const std::string& contents) {
  Dialogue dialogue;
  dialogue.name = name;
  dialogue.options.hostname = "mx.example.org";
  bool client_spoke = false;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(contents, '\n')) {
    ++number;
    if (raw.empty() || raw.front() == '#') continue;
    const size_t colon = raw.find(':');
    const absl::string_view key = raw.substr(0, colon);
    const std::string value(colon == absl::string_view::npos ? ""
                                                             : absl::StripPrefix(raw.substr(colon + 1), " "));
    DialogueStep step{Kind::kClient, number, value};
    if (key == "C" || key == "c") {
      absl::StatusOr<std::string> octets = Unescape(value);
      if (!octets.ok()) return At(dialogue, step, octets.status());
      step.text = *octets + (key == "C" ? "\r\n" : "");
      client_spoke = true;
    } else if (key == "S") {
      step.kind = Kind::kServer;
    } else if (key == "event") {
      step.kind = Kind::kEvent;
      dialogue.pipelines = false;
    } else if (key == "store") {
      step.kind = Kind::kStore;
      if (client_spoke) dialogue.pipelines = false;
    } else if (key == "closed") {
      step.kind = Kind::kClosed;
    } else if (key == "stored") {
      step.kind = Kind::kStored;
    } else if (key == "text") {
      step.kind = Kind::kText;
      ASSIGN_OR_RETURN(step.text, Unescape(value));
    } else if (key == "log") {
      step.kind = Kind::kLog;
    } else if (key == "aborted") {
      step.kind = Kind::kAborted;
    } else if (key == "begun") {
      step.kind = Kind::kBegun;
    } else if (key == "handed-over") {
      step.kind = Kind::kHandedOver;
    } else if (key == "from") {
      step.kind = Kind::kFrom;
    } else if (key == "proxy") {
      if (absl::Status status = ApplyProxy(value, &dialogue); !status.ok()) {
        return At(dialogue, step, status);
      }
      continue;
    } else if (key == "option") {
      if (absl::Status status = ApplyOption(value, &dialogue); !status.ok()) {
        return At(dialogue, step, status);
      }
      continue;
    } else {
      return At(dialogue, step, absl::InvalidArgumentError(absl::StrCat("unknown line `", raw, "`")));
    }
    dialogue.steps.push_back(std::move(step));
  }
  return dialogue;
}

// `shortage SCOPE LIMIT USED RESERVED NEEDED`.
static std::optional<v1::Shortage> ParseShortage(const std::vector<std::string>& words) {
  v1::Shortage shortage;
  v1::Shortage::Scope scope = v1::Shortage::SCOPE_UNSPECIFIED;
  uint64_t limit = 0, used = 0, reserved = 0, needed = 0;
  if (words.size() != 6 || !v1::Shortage::Scope_Parse(words[1], &scope) ||
      !absl::SimpleAtoi(words[2], &limit) || !absl::SimpleAtoi(words[3], &used) ||
      !absl::SimpleAtoi(words[4], &reserved) || !absl::SimpleAtoi(words[5], &needed)) {
    return std::nullopt;
  }
  shortage.set_scope(scope);
  shortage.set_limit(limit);
  shortage.set_used(used);
  shortage.set_reserved(reserved);
  shortage.set_needed(needed);
  return shortage;
}

absl::Status ApplyStoreKnob(const std::string& arguments, FakeStore* store) {
  using Step = FakeStore::Step;
  const std::map<std::string, Step> steps = {{"begin", Step::kBegin},   {"recipient", Step::kRecipient},
                                             {"data", Step::kData},     {"text", Step::kText},
                                             {"commit", Step::kCommit}, {"settle", Step::kSettle},
                                             {"abort", Step::kAbort}};
  const std::vector<std::string> words = absl::StrSplit(arguments, ' ');
  const std::string& verb = words[0];
  const std::string last = words.back();
  v1::Outcome outcome = v1::OUTCOME_UNSPECIFIED;
  const bool has_outcome = v1::Outcome_Parse("OUTCOME_" + last, &outcome);
  uint64_t number = 0;
  if (verb == "begin" && has_outcome) {
    store->begin = outcome;
  } else if (verb == "recipient" && words.size() == 3 && has_outcome) {
    store->recipients[words[1]] = outcome;
  } else if (verb == "receipt" && words.size() == 3 && has_outcome) {
    store->receipts[words[1]] = outcome;
  } else if (verb == "suppressed" && words.size() == 3) {
    store->suppressed[words[1]] = last;
  } else if (verb == "data-loses" && words.size() == 3 && has_outcome) {
    store->lost_at_data[words[1]] = outcome;
  } else if (verb == "data" && has_outcome) {
    store->data = outcome;
  } else if (verb == "commit" && has_outcome) {
    store->commit = outcome;
  } else if (verb == "refuse-text" && words.size() == 3 && has_outcome &&
             absl::SimpleAtoi(words[1], &number)) {
    store->refuse_text_after = number;
    store->refuse_text_with = outcome;
  } else if (verb == "lose" && steps.count(last) > 0) {
    store->lose_at.insert(steps.at(last));
  } else if (verb == "found") {
    store->lose_at.clear();
  } else if (verb == "lose-all") {
    store->LoseAll();
  } else if (verb == "hold" && steps.count(last) > 0) {
    store->hold_at.insert(steps.at(last));
  } else if (verb == "release") {
    store->Release();
  } else if (verb == "settle") {
    store->settled = last == "committed"       ? FakeStore::Settled::kCommitted
                     : last == "not-committed" ? FakeStore::Settled::kNotCommitted
                                               : FakeStore::Settled::kUnknown;
  } else if (std::optional<v1::Shortage> shortage; verb == "shortage" && (shortage = ParseShortage(words))) {
    store->shortage = shortage;
  } else if (verb == "max-message" && absl::SimpleAtoi(last, &number)) {
    store->capacity_answer.set_max_message_bytes(number);
  } else if (verb == "window" && absl::SimpleAtoi(last, &number)) {
    store->window = number;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("unknown store line `", arguments, "`"));
  }
  return absl::OkStatus();
}

bool Matches(const std::string& pattern, const std::string& line) {
  size_t p = 0, i = 0, star = std::string::npos, mark = 0;
  while (i < line.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = i;
    } else if (p < pattern.size() && pattern[p] == line[i]) {
      ++p;
      ++i;
    } else if (star != std::string::npos) {
      p = star + 1;
      i = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

namespace {

absl::Status Check(const DialogueStep& step, DialogueTarget* target) {
  const FakeStore& store = target->store();
  const auto number = [&](size_t actual) {
    if (std::to_string(actual) == step.text) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("is ", actual, ", expected ", step.text));
  };
  switch (step.kind) {
    case Kind::kStored:
      return number(store.stored.size());
    case Kind::kAborted:
      return number(store.aborted);
    case Kind::kBegun:
      return number(store.begun.size());
    case Kind::kHandedOver:
      return number(store.handed_over.size());
    case Kind::kFrom: {
      const std::string client = store.begun.empty() ? "nobody" : store.begun.back().client().address();
      if (client == step.text) return absl::OkStatus();
      return absl::FailedPreconditionError(absl::StrCat("is from ", client));
    }
    case Kind::kText: {
      if (store.stored.empty()) return absl::FailedPreconditionError("nothing is stored");
      // Behind our own header, which is the first and has three folded lines.
      const std::string& text = store.stored.back().text;
      size_t at = 0;
      for (int line = 0; line < 4 && at != std::string::npos; ++line) at = text.find("\r\n", at) + 2;
      if (text.substr(at) == step.text) return absl::OkStatus();
      return absl::FailedPreconditionError(absl::StrCat("stored ", Printable(text.substr(at))));
    }
    case Kind::kLog: {
      constexpr const char* kNames[] = {"stored", "suppressed", "refused", "aborted", "unknown"};
      const auto& records = target->records();
      if (records.empty()) return absl::FailedPreconditionError("no transaction has ended");
      const std::string name = kNames[static_cast<int>(records.back().end)];
      if (name == step.text) return absl::OkStatus();
      return absl::FailedPreconditionError(absl::StrCat("logged ", name));
    }
    default:
      return absl::OkStatus();
  }
}

absl::Status PlayStep(const DialogueStep& step, DialogueTarget* target) {
  switch (step.kind) {
    case Kind::kClient:
      target->Send(step.text);
      return absl::OkStatus();
    case Kind::kServer: {
      ASSIGN_OR_RETURN(const std::string line, target->ReadLine());
      if (Matches(step.text, line)) return absl::OkStatus();
      return absl::FailedPreconditionError(
          absl::StrCat("got ", Printable(line), ", expected `", step.text, "`"));
    }
    case Kind::kEvent:
      return target->Event(step.text);
    case Kind::kStore:
      return target->Store(step.text);
    case Kind::kClosed:
      return target->Closed();
    default: {
      absl::Status status = Check(step, target);
      for (int turns = 0; !status.ok() && turns < 5000 && target->Turn(); ++turns)
        status = Check(step, target);
      return status;
    }
  }
}

}  // namespace

absl::Status Play(const Dialogue& dialogue, bool at_once, DialogueTarget* target) {
  std::string everything;
  for (const DialogueStep& step : dialogue.steps) {
    if (step.kind == Kind::kClient) everything += step.text;
  }
  const DialogueStep* before = nullptr;
  bool sent = false;
  for (const DialogueStep& step : dialogue.steps) {
    const bool client = step.kind == Kind::kClient;
    if (at_once && client) {
      if (!sent) target->Send(everything);
      sent = true;
      continue;
    }
    // A client that speaks again has read all there was.
    if (!at_once && client && before != nullptr && before->kind != Kind::kClient) {
      if (absl::Status status = target->NothingMore(); !status.ok()) return At(dialogue, step, status);
    }
    // What is stored in the middle of a conversation is not to be asked when it is over.
    const bool check = step.kind == Kind::kStored || step.kind == Kind::kText || step.kind == Kind::kLog ||
                       step.kind == Kind::kAborted || step.kind == Kind::kBegun ||
                       step.kind == Kind::kHandedOver || step.kind == Kind::kFrom;
    if (at_once && check) continue;
    if (absl::Status status = PlayStep(step, target); !status.ok()) return At(dialogue, step, status);
    before = &step;
  }
  if (absl::Status status = target->NothingMore(); !status.ok()) {
    return Annotate(status, absl::StrCat(dialogue.name, ": at the end"));
  }
  return absl::OkStatus();
}

}  // namespace restante::smtp
