// BDAT: whatever the text, its chunks, the reads and what follows, it arrives.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/fuzz/check.h"
#include "tests/smtp/machine.h"

namespace restante::smtp {
namespace {

using fuzz::Check;
using fuzz::CheckEqual;

struct Input {
  SessionOptions options;
  uint64_t window = 0;
  size_t piece = 0;
  std::vector<size_t> chunks;
  bool separate_last = false;  // `BDAT 0 LAST` ends it.
  std::string text;
};

std::string Conversation(const Input& input) {
  std::string all = "LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
  size_t at = 0;
  for (size_t i = 0; i < input.chunks.size() && at < input.text.size(); ++i) {
    const std::string chunk = input.text.substr(at, input.chunks[i]);
    at += chunk.size();
    const bool last = at == input.text.size() && !input.separate_last;
    absl::StrAppend(&all, "BDAT ", chunk.size(), last ? " LAST\r\n" : "\r\n", chunk);
    if (last) return absl::StrCat(all, "QUIT\r\n");
  }
  const std::string rest = input.text.substr(at);
  return absl::StrCat(all, "BDAT ", rest.size(), " LAST\r\n", rest, "QUIT\r\n");
}

bool IsIrregular(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\0') return true;
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return true;
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return true;
  }
  return false;
}

void Look(const Input& input) {
  Machine machine(input.options, {}, input.piece);
  machine.store().window = input.window;
  machine.Send(Conversation(input));
  const std::string output = machine.Output();
  Check(machine.store().violations.empty(), "the store is asked in order and within its credit",
        machine.store().violations.empty() ? "" : machine.store().violations.front());
  Check(machine.session().closed(), "QUIT behind the last chunk is read as QUIT", output);
  Check(absl::EndsWith(output, "Bye\r\n"), "and answered", output);
  const bool refused = input.options.bare_newline == BareNewline::kRefuse && IsIrregular(input.text);
  const std::vector<FakeStore::Stored>& stored = machine.store().stored;
  Check(stored.size() == (refused ? 0 : 1),
        "a text is stored once, unless it is irregular and that is refused", output);
  if (refused) return;
  const std::string& octets = stored.front().text;
  Check(absl::EndsWith(octets, input.text), "the text is the chunks as they are", octets);
  const absl::string_view header = absl::string_view(octets).substr(0, octets.size() - input.text.size());
  Check(absl::StartsWith(header, "Received: ") && absl::EndsWith(header, "\r\n"),
        "before it stands our header", header);
}

}  // namespace
}  // namespace restante::smtp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider from(data, size);
  restante::smtp::Input input;
  input.options.protocol = restante::smtp::Protocol::kLmtp;
  input.options.bare_newline =
      from.ConsumeBool() ? restante::smtp::BareNewline::kRefuse : restante::smtp::BareNewline::kKeep;
  input.window = from.ConsumeIntegralInRange<uint64_t>(1, 500);
  input.piece = from.ConsumeIntegralInRange<size_t>(0, 50);
  input.separate_last = from.ConsumeBool();
  input.chunks.resize(from.ConsumeIntegralInRange<size_t>(0, 8));
  for (size_t& chunk : input.chunks) chunk = from.ConsumeIntegralInRange<size_t>(0, 60);
  input.text = from.ConsumeRemainingBytesAsString();
  restante::smtp::Look(input);
  return 0;
}
