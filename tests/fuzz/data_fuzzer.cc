// The end of a text and its dots, against the rule said in another way.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "client/smtp/data_decoder.h"
#include "tests/fuzz/check.h"

namespace restante::smtp {
namespace {

using fuzz::Check;
using fuzz::CheckEqual;

struct Text {
  std::string octets;
  size_t taken = 0;
  bool done = false;
  bool irregular = false;
};

// RFC 5321, 4.1.1.4 and 4.5.2, with the text cut into lines.
Text ByLines(absl::string_view in) {
  Text text;
  const std::string with_start = absl::StrCat("\r\n", in);
  const size_t end = with_start.find("\r\n.\r\n");
  if (end == std::string::npos) return text;
  text.done = true;
  text.taken = end + 3;  // Less the CRLF before the start.
  const absl::string_view kept = in.substr(0, end);
  std::vector<absl::string_view> lines = absl::StrSplit(kept, "\r\n");
  for (absl::string_view& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      text.irregular |= line[i] == '\r' || line[i] == '\n' || line[i] == '\0';
    }
    if (absl::StartsWith(line, ".")) line.remove_prefix(1);
    absl::StrAppend(&text.octets, &line == &lines.front() ? "" : "\r\n", line);
  }
  return text;
}

// In pieces, with little room, or thrown away.
Text ByDecoder(absl::string_view in, const std::vector<size_t>& pieces, size_t room, bool keep) {
  Text text;
  DataDecoder decoder(/*inspect=*/true);
  size_t piece = 0;
  while (text.taken < in.size() && !decoder.done()) {
    const size_t offered = pieces.empty() ? in.size() : 1 + pieces[piece++ % pieces.size()];
    const absl::string_view part = in.substr(text.taken, offered);
    const size_t before = text.octets.size();
    const size_t taken = decoder.Decode(part, room, keep ? &text.octets : nullptr);
    Check(taken <= part.size(), "no more is taken than is given", in);
    Check(text.octets.size() - before <= room, "no more is put out than there is room for", in);
    Check(taken == part.size() || decoder.done() || (keep && text.octets.size() - before == room),
          "all is taken unless room or text end", in);
    text.taken += taken;
  }
  text.done = decoder.done();
  text.irregular = decoder.irregular();
  return text;
}

void Look(absl::string_view in, const std::vector<size_t>& pieces, size_t room) {
  const Text expected = ByLines(in);
  const Text whole = ByDecoder(in, {}, in.size() + 2, true);
  const Text split = ByDecoder(in, pieces, room, true);
  const Text thrown_away = ByDecoder(in, pieces, room, false);
  CheckEqual(whole.octets, split.octets, "however it is split, it is the same text");
  Check(whole.taken == split.taken && whole.taken == thrown_away.taken, "and ends at the same octet", in);
  Check(whole.done == split.done && whole.done == thrown_away.done, "or does not end", in);
  Check(whole.irregular == split.irregular && whole.irregular == thrown_away.irregular, "and is as regular",
        in);
  Check(whole.done == expected.done, "only CRLF.CRLF ends a text", in);
  if (!expected.done) return;
  Check(whole.taken == expected.taken, "the first CRLF.CRLF ends a text", in);
  CheckEqual(whole.octets, expected.octets, "a text is its lines, less a dot before each");
  Check(whole.irregular == expected.irregular, "what is irregular is seen", in);
}

}  // namespace
}  // namespace restante::smtp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  std::vector<size_t> pieces(input.ConsumeIntegralInRange<size_t>(1, 6));
  for (size_t& piece : pieces) piece = input.ConsumeIntegralInRange<size_t>(0, 40);
  const size_t room = input.ConsumeIntegralInRange<size_t>(2, 64);
  restante::smtp::Look(input.ConsumeRemainingBytesAsString(), pieces, room);
  return 0;
}
