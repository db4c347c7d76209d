// Whole conversations: any octets, any answers of the store, split anywhere.
#include <fuzzer/FuzzedDataProvider.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tests/fuzz/check.h"
#include "tests/smtp/machine.h"

namespace restante::smtp {
namespace {

using fuzz::Check;
using fuzz::CheckEqual;

// How the store behaves; 0 is at its best.
constexpr const char* kKnobs[] = {
    "window 262144",
    "begin DISK_FULL",
    "begin MESSAGE_TOO_LARGE",
    "recipient c@d MAILBOX_FULL",
    "recipient c@d NO_SUCH_MAILBOX",
    "data DISK_FULL",
    "data-loses c@d MAILBOX_FULL",
    "commit WRITE_ERROR",
    "commit MAILBOX_FULL",
    "receipt c@d MAILBOX_FULL",
    "refuse-text 300 MESSAGE_TOO_LARGE",
    "lose begin",
    "lose recipient",
    "lose data",
    "lose text",
    "lose commit",
    "settle committed",
    "settle not-committed",
    "max-message 4096",
    "window 256",
};

struct Seen {
  std::string output;
  std::string log;
  std::string stored;
  bool closed = false;
};

struct Input {
  SessionOptions options;
  std::vector<const char*> knobs;
  std::string octets;
};

Seen Play(const Input& input, std::vector<size_t> splits, size_t piece) {
  Machine machine(input.options, std::move(splits), piece);
  for (const char* knob : input.knobs) {
    Check(ApplyStoreKnob(knob, &machine.store()).ok(), "a knob of the store", knob);
  }
  machine.Send(input.octets);
  Check(machine.session().buffered() <= input.octets.size() + machine.store().window + 600 * 1024,
        "what is held is bounded");
  Check(machine.Event("eof").ok(), "the end of input");
  Seen seen;
  seen.closed = machine.session().closed();
  seen.output = machine.Output();
  for (const TransactionRecord& record : machine.records()) {
    // Not its recipients: those that come behind a store that was lost are not asked for.
    absl::StrAppend(&seen.log, static_cast<int>(record.end), " ", record.sender, " ", record.size, "\n");
  }
  for (const FakeStore::Stored& stored : machine.store().stored) {
    absl::StrAppend(&seen.stored, stored.begin.sender(), "\n", absl::StrJoin(stored.recipients, " "), "\n",
                    stored.text, "\n");
    Check(!stored.recipients.empty(), "nothing is stored for nobody");
  }
  Check(machine.store().violations.empty(), "the store is asked in order and within its credit",
        machine.store().violations.empty() ? "" : machine.store().violations.front());
  Check(machine.store().open == 0, "no transaction stays open behind the end");
  return seen;
}

// RFC 5321, 4.2 and 4.5.3.1.5; RFC 2034, 4.
void CheckReplies(absl::string_view output) {
  Check(output.empty() || absl::EndsWith(output, "\r\n"), "replies are lines", output);
  std::vector<absl::string_view> lines = absl::StrSplit(output, "\r\n");
  lines.pop_back();
  absl::string_view code;
  for (const absl::string_view line : lines) {
    Check(line.size() <= 510, "a reply line is at most 512 octets", line);
    Check(line.size() >= 4 && (line[3] == ' ' || line[3] == '-'), "a reply has a code and a text", line);
    for (const char c : line) {
      Check(!absl::ascii_iscntrl(static_cast<unsigned char>(c)), "a reply has no control characters", line);
    }
    Check(line[0] >= '2' && line[0] <= '5', "a reply's class", line);
    Check(code.empty() || code == line.substr(0, 3), "all lines of a reply have its code", line);
    code = line[3] == '-' ? line.substr(0, 3) : absl::string_view();
  }
  Check(code.empty(), "a reply has a last line", output);
}

void Look(const Input& input, const std::vector<size_t>& splits, size_t piece) {
  const Seen whole = Play(input, {}, 0);
  CheckReplies(whole.output);
  Check(whole.closed, "the session ends with its input", whole.output);
  for (const Seen& split : {Play(input, splits, 0), Play(input, {}, piece)}) {
    CheckEqual(whole.output, split.output, "however it is split, the replies are the same");
    CheckEqual(whole.stored, split.stored, "and so is what is stored");
    CheckEqual(whole.log, split.log, "and what is logged");
  }
}

}  // namespace
}  // namespace restante::smtp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider from(data, size);
  restante::smtp::Input input;
  if (from.ConsumeBool()) input.options.protocol = restante::smtp::Protocol::kLmtp;
  if (from.ConsumeBool()) input.options.bare_newline = restante::smtp::BareNewline::kRefuse;
  if (from.ConsumeBool()) input.options.max_errors = 3;
  input.options.hostname = "mx.example.org";
  input.knobs.resize(from.ConsumeIntegralInRange<size_t>(0, 3));
  for (const char*& knob : input.knobs) {
    knob =
        restante::smtp::kKnobs[from.ConsumeIntegralInRange<size_t>(0, std::size(restante::smtp::kKnobs) - 1)];
  }
  std::vector<size_t> splits(from.ConsumeIntegralInRange<size_t>(0, 4));
  for (size_t& split : splits) split = from.ConsumeIntegralInRange<size_t>(0, 2000);
  const size_t piece = from.ConsumeIntegralInRange<size_t>(1, 100);
  input.octets = from.ConsumeRemainingBytesAsString();
  restante::smtp::Look(input, splits, piece);
  return 0;
}
