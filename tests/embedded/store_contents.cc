#include "tests/embedded/store_contents.h"

#include <google/protobuf/text_format.h>

#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/crc32c.h"
#include "server/mail/verify.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using engine::PartitionId;

std::string OneLine(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(message, &text);
  return text;
}

template <typename Message>
std::string Parsed(const std::string& value) {
  Message message;
  return message.ParseFromString(value) ? OneLine(message) : "not a " + message.GetTypeName();
}

std::string BodyLine(engine::Engine& engine, uint64_t body) {
  uint64_t size = 0;
  uint32_t crc32c = 0;
  while (true) {
    const auto part = Await<absl::StatusOr<std::string>>(
        [&](auto done) { engine.ReadBody(engine::BodyId{body}, size, 1 << 20, std::move(done)); });
    if (!part.ok()) return absl::StrCat("body ", body, ": ", part.status().ToString());
    if (part->empty()) break;
    size += part->size();
    crc32c = Crc32c(*part, crc32c);
  }
  return absl::StrFormat("body %d: %d octets, crc32c %08x", body, size, crc32c);
}

std::string ReceiptLine(engine::Engine& engine, engine::TransactionId id) {
  const auto opened =
      Await<absl::StatusOr<engine::OpenResult>>([&](auto done) { engine.Open(id, 0, std::move(done)); });
  const std::string name = absl::StrCat("receipt ", id.ToString(), ": ");
  if (!opened.ok()) return name + opened.status().ToString();
  if (const auto* receipt = std::get_if<stored::Receipt>(&*opened)) {
    return absl::StrCat(name, receipt->committed() ? "" : "tombstone ", OneLine(*receipt));
  }
  engine.Close(id);
  return name + "none";
}

// Head and keys.
void AddPartition(engine::Engine& engine, PartitionId partition, const std::string& name,
                  std::vector<std::string>* lines, std::set<uint64_t>* bodies) {
  const auto read = Await<absl::StatusOr<engine::ReadResult>>(
      [&](auto done) { engine.Read(partition, {}, std::move(done)); });
  if (!read.ok() || !read->head) {
    lines->push_back(absl::StrCat(name, ": ", read.ok() ? "no head" : read.status().ToString()));
    return;
  }
  lines->push_back(absl::StrCat(name, ": ", OneLine(*read->head)));
  if (partition.kind == PartitionId::Kind::kDomain) {
    lines->push_back(absl::StrCat(name, " sums: ", read->used_bytes, " octets, ", read->used_messages,
                                  " messages, ", read->mailboxes, " mailboxes"));
  }
  const auto page = Await<absl::StatusOr<engine::ScanPage>>(
      [&](auto done) { engine.Scan(partition, "", "", 1'000'000, std::move(done)); });
  if (!page.ok()) {
    lines->push_back(absl::StrCat(name, ": ", page.status().ToString()));
    return;
  }
  for (const auto& [key, value] : page->items) {
    if (const auto uid = engine::EntryUid(key)) {
      stored::Entry entry;
      if (entry.ParseFromString(value)) bodies->insert(entry.body());
      lines->push_back(absl::StrCat(name, " message ", *uid, ": ", Parsed<stored::Entry>(value)));
      continue;
    }
    std::string text = absl::CHexEscape(value);
    if (partition.kind == PartitionId::Kind::kMailbox) {
      text = Parsed<stored::OpenReceipt>(value);
    } else if (absl::StartsWith(key, "a/")) {
      text = Parsed<stored::DirectoryAddress>(value);
    } else if (absl::StartsWith(key, "d/")) {
      text = Parsed<stored::DirectoryDomain>(value);
    }
    lines->push_back(absl::StrCat(name, " ", absl::CHexEscape(key), ": ", text));
  }
}

}  // namespace

std::vector<std::string> ContentsOf(engine::Engine& engine,
                                    const std::vector<engine::TransactionId>& receipts) {
  std::vector<std::string> lines;
  std::set<uint64_t> bodies;
  AddPartition(engine, PartitionId::Directory(), "directory", &lines, &bodies);
  for (const auto kind : {PartitionId::Kind::kDomain, PartitionId::Kind::kMailbox}) {
    const auto partitions = Await<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>>(
        [&](auto done) { engine.ListPartitions(kind, 0, 1'000'000, std::move(done)); });
    if (!partitions.ok()) {
      lines.push_back(partitions.status().ToString());
      continue;
    }
    for (const auto& [number, head] : *partitions) {
      const absl::string_view name = kind == PartitionId::Kind::kDomain ? "domain " : "mailbox ";
      AddPartition(engine, {kind, number}, absl::StrCat(name, number), &lines, &bodies);
    }
  }
  for (const uint64_t body : bodies) lines.push_back(BodyLine(engine, body));
  for (const engine::TransactionId& id : receipts) lines.push_back(ReceiptLine(engine, id));
  for (std::string& line : lines) absl::StripTrailingAsciiWhitespace(&line);
  return lines;
}

std::vector<engine::TransactionId> ReceiptsIn(const std::vector<std::string>& contents) {
  std::vector<engine::TransactionId> receipts;
  for (const std::string& line : contents) {
    if (!absl::StartsWith(line, "receipt ")) continue;
    const std::string octets = absl::HexStringToBytes(line.substr(8, 32));
    engine::TransactionId& id = receipts.emplace_back();
    std::copy(octets.begin(), octets.end(), id.octets.begin());
  }
  return receipts;
}

std::vector<std::string> VerifyMail(engine::Engine& engine) {
  std::vector<std::string> problems;
  absl::Notification ended;
  absl::Status status;
  Start<absl::Status>(mail::Verify(&engine,
                                   [&](mail::VerifyProgress progress) {
                                     for (std::string& problem : progress.problems) {
                                       problems.push_back(std::move(problem));
                                     }
                                     return true;
                                   }),
                      [&](absl::Status s) {
                        status = std::move(s);
                        ended.Notify();
                      });
  AwaitOrDie(ended);
  if (!status.ok()) problems.push_back(status.ToString());
  return problems;
}

}  // namespace restante::embedded
