#include "server/mail/open_receipts.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/engine_calls.h"
#include "server/mail/names.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

constexpr size_t kPage = 1000;

// As they were found: one that has changed since is another.
using Found = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<engine::Verdict> Erase(const engine::View& view, const Found& found) {
  if (view.head == nullptr) return engine::NoChange{};
  engine::Change change;
  change.head = *view.head;
  for (const auto& [key, value] : found) {
    const auto it = view.values.find(key);
    if (it != view.values.end() && it->second == value) change.erased.push_back(key);
  }
  if (change.erased.empty()) return engine::NoChange{};
  return change;
}

}  // namespace

Task<absl::StatusOr<OpenReceiptProblems>> CheckOpenReceipts(engine::Engine* engine, uint64_t mailbox,
                                                            bool repair) {
  const PartitionId partition = PartitionId::Mailbox(mailbox);
  OpenReceiptProblems problems;
  Found found;
  std::string from = engine::kOpenReceiptsFrom;
  while (true) {
    CO_ASSIGN_OR_RETURN(engine::ScanPage page,
                        co_await Scan(engine, partition, from, engine::kOpenReceiptsTo, kPage));
    // Read after them, for UIDs ascend.
    CO_ASSIGN_OR_RETURN(engine::ReadResult read, co_await Read(engine, partition, {}));
    if (!read.head) co_return OpenReceiptProblems();
    const engine::stored::MailboxHead& head = read.head->mailbox();
    for (const auto& item : page.items) {
      engine::stored::OpenReceipt receipt;
      std::string problem;
      if (!receipt.ParseFromString(item.second) ||
          !engine::TransactionId::FromBytes(receipt.transaction_id())) {
        problem = "an open receipt cannot be read";
      } else if (receipt.uid() >= head.uid_next()) {
        problem =
            absl::StrCat("an open receipt names UID ", receipt.uid(), ", the next is ", head.uid_next());
      } else {
        continue;
      }
      problems.lines.push_back(absl::StrCat(MailboxName(head.address()), ": ", problem));
      found.push_back(item);
    }
    if (!page.more || page.items.empty()) break;
    from = page.items.back().first + '\0';
  }
  if (found.empty() || !repair) co_return std::move(problems);
  std::vector<std::string> keys;
  for (const auto& [key, value] : found) keys.push_back(key);
  CO_RETURN_IF_ERROR(co_await Update(engine, partition, std::move(keys),
                                     [&](const engine::View& view) { return Erase(view, found); }));
  problems.erased = true;
  co_return std::move(problems);
}

}  // namespace restante::mail
