// Command lines: whatever stands in one, it is understood within its bounds.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/smtp/command_parser.h"
#include "client/smtp/path.h"
#include "client/smtp/received_header.h"
#include "client/smtp/xforward.h"
#include "server/base/utf8.h"
#include "server/mail/dsn.h"
#include "tests/fuzz/check.h"

namespace restante::smtp {
namespace {

using fuzz::Check;
using fuzz::CheckEqual;

bool IsWithin(absl::string_view part, absl::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.end() <= whole.end());
}

void CheckAddress(absl::string_view address, PathKind kind, bool smtputf8) {
  Check(address.size() <= 1000, "an address is at most 1000 octets", address);
  for (const char c : address) {
    Check(!absl::ascii_iscntrl(static_cast<unsigned char>(c)), "an address has no control characters",
          address);
  }
  Check(smtputf8 || IsAscii(address), "without SMTPUTF8 an address is ASCII", address);
  Check(IsUtf8(address), "an address is UTF-8", address);
  const std::string again = absl::StrCat("<", address, ">");
  const absl::StatusOr<ParsedPath> parsed = ParsePath(again, kind);
  Check(parsed.ok(), "an address that was read can be read again", address);
  CheckEqual(parsed->address, address, "an address is itself");
  Check(parsed->rest.empty(), "an address ends at its bracket", address);
}

void CheckEnvelope(absl::string_view argument, PathKind kind, bool smtputf8) {
  const Envelope envelope = ParseEnvelope(argument, kind, {smtputf8, /*ignore_quota=*/true});
  if (envelope.error.has_value()) {
    const int code = envelope.error->code.code;
    Check(code >= 500 && code < 600, "what cannot be read is refused for good", argument);
    return;
  }
  CheckAddress(envelope.address, kind, smtputf8 || envelope.smtputf8);
  // The store takes them as they are.
  v1::Begin begin;
  begin.set_ret(envelope.ret);
  begin.set_envid(envelope.envid);
  Check(dsn::Check(begin).ok(), "RET and ENVID", argument);
  v1::Recipient recipient;
  for (const v1::Notify notify : envelope.notify) recipient.add_notify(notify);
  recipient.set_orcpt(envelope.orcpt);
  Check(dsn::Check(recipient).ok(), "NOTIFY and ORCPT", argument);
  Check(smtputf8 || IsAscii(envelope.orcpt), "without SMTPUTF8 ORCPT is ASCII", argument);
}

void CheckChunk(absl::string_view argument) {
  const std::optional<Chunk> chunk = ParseChunk(argument);
  if (!chunk.has_value()) return;
  Check(chunk->size < UINT64_MAX, "a chunk's size can be counted", argument);
  const std::optional<Chunk> again = ParseChunk(absl::StrCat(chunk->size, chunk->last ? " LAST" : ""));
  Check(again.has_value() && again->size == chunk->size && again->last == chunk->last,
        "a chunk's size is read as it is written", argument);
}

void CheckForwarded(absl::string_view argument) {
  Forwarded forwarded;
  const std::optional<Reply> error = ParseXforward(argument, &forwarded);
  for (const std::string& value : {forwarded.name, forwarded.address, forwarded.port, forwarded.protocol,
                                   forwarded.helo, forwarded.ident, forwarded.source}) {
    Check(!error.has_value() || value.empty(), "what cannot be read sets nothing", argument);
    Check(value.size() <= 255, "a value is at most 255 octets", value);
    for (const char c : value) {
      Check(absl::ascii_isprint(static_cast<unsigned char>(c)), "a value can stand in a log", value);
    }
  }
  if (forwarded.address.empty()) return;
  Forwarded again;
  Check(!ParseXforward(absl::StrCat("ADDR=", forwarded.address), &again).has_value(),
        "an address that was read can be read again", forwarded.address);
  CheckEqual(again.address, forwarded.address, "an address is itself");
}

void Look(absl::string_view line, bool smtputf8) {
  const Command command = ParseCommand(line);
  Check(IsWithin(command.argument, line), "an argument is a part of its line", line);
  CheckEnvelope(command.argument, PathKind::kReverse, smtputf8);
  CheckEnvelope(command.argument, PathKind::kForward, smtputf8);
  CheckChunk(command.argument);
  CheckForwarded(command.argument);
  IsOneWordAtMost(command.argument);
  const std::string helo = SanitizeHelo(command.argument);
  CheckEqual(SanitizeHelo(helo), helo, "a name that was cleaned is clean");
  for (const char c : helo) {
    Check(absl::ascii_isgraph(static_cast<unsigned char>(c)), "a cleaned name can stand in a header", helo);
  }
}

}  // namespace
}  // namespace restante::smtp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  const bool smtputf8 = input.ConsumeBool();
  restante::smtp::Look(input.ConsumeRemainingBytesAsString(), smtputf8);
  return 0;
}
