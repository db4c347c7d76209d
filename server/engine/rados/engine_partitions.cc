// Reads, scans and lists of partitions.
#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/shard_reader.h"

namespace restante::rados {
namespace {

constexpr uint64_t kRowsAtOnce = 1000;
// Objects that are read at once where many are.
constexpr size_t kWidth = 32;

}  // namespace

Task<absl::Status> RadosEngine::Enlist(PartitionId id) {
  if (id.kind == PartitionId::Kind::kDirectory) co_return absl::OkStatus();
  if (id.kind == PartitionId::Kind::kDomain) {
    WriteOp op = index_->NewWrite();
    op.SetOmap({{Hex(id.number), ""}});
    const int result = co_await index_->Write(kDomainsObject, std::move(op));
    if (result == 0) ++domains_;
    co_return ToStatus(result, kDomainsObject);
  }
  const std::string shelf = ShelfName(id.number);
  bool known;
  {
    absl::MutexLock lock(&mutex_);
    known = shelves_.contains(shelf);
  }
  if (!known) {
    WriteOp op = index_->NewWrite();
    op.SetOmap({{shelf, ""}});
    const int result = co_await index_->Write(kMailboxShelvesObject, std::move(op));
    if (result < 0) co_return ToStatus(result, kMailboxShelvesObject);
    absl::MutexLock lock(&mutex_);
    shelves_.insert(shelf);
  }
  WriteOp op = index_->NewWrite();
  op.SetOmap({{Hex(id.number), ""}});
  const int result = co_await index_->Write(MailboxShelf(id.number), std::move(op));
  co_return ToStatus(result, MailboxShelf(id.number));
}

Task<absl::Status> RadosEngine::Delist(PartitionId id) {
  const bool domain = id.kind == PartitionId::Kind::kDomain;
  const std::string object = domain ? kDomainsObject : MailboxShelf(id.number);
  WriteOp op = index_->NewWrite();
  op.EraseOmap({Hex(id.number)});
  const int result = co_await index_->Write(object, std::move(op), /*frees=*/true);
  if (result == 0 && domain) --domains_;
  co_return ToStatus(result, object);
}

bool RadosEngine::HasDomains() { return domains_ > 0; }

Task<absl::StatusOr<Rows>> RadosEngine::AllRows(std::string object, std::string prefix) {
  co_return co_await rados::AllRows(index_.get(), std::move(object), std::move(prefix));
}

Task<absl::StatusOr<std::vector<uint64_t>>> RadosEngine::ListedNumbers(PartitionId::Kind kind, uint64_t after,
                                                                       size_t limit) {
  std::vector<std::string> objects;
  if (kind == PartitionId::Kind::kDomain) {
    objects = {kDomainsObject};
  } else {
    CO_ASSIGN_OR_RETURN(const Rows shelves, co_await AllRows(kMailboxShelvesObject, ""));
    for (const auto& [shelf, value] : shelves) {
      if (shelf >= ShelfName(after)) objects.push_back(absl::StrCat("mailboxes.", shelf));
    }
  }
  std::vector<uint64_t> numbers;
  for (const std::string& object : objects) {
    std::string from = Hex(after);
    bool more = true;
    while (more && numbers.size() < limit) {
      ReadOp op = index_->NewRead();
      op.OmapAfter(from, "", std::min<uint64_t>(kRowsAtOnce, limit - numbers.size()));
      const ObjectRead read = co_await index_->Read(object, std::move(op));
      if (read.result == -ENOENT) break;
      if (read.result < 0) co_return ToStatus(read.result, object);
      for (const auto& [key, value] : read.rows) {
        if (const auto number = FromHex(key)) numbers.push_back(*number);
        from = key;
      }
      more = read.more && !read.rows.empty();
    }
  }
  co_return numbers;
}

void RadosEngine::ListPartitions(PartitionId::Kind kind, uint64_t after, size_t limit,
                                 Done<absl::StatusOr<Listed>> done) {
  RunWithin<absl::StatusOr<Listed>>(ListTask(kind, after, limit), std::move(done));
}

Task<absl::StatusOr<RadosEngine::Listed>> RadosEngine::ListTask(PartitionId::Kind kind, uint64_t after,
                                                                size_t limit) {
  Listed listed;
  while (listed.size() < limit) {
    const size_t wanted = limit - listed.size();
    CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, co_await ListedNumbers(kind, after, wanted));
    if (numbers.empty()) break;
    using State = absl::StatusOr<PartitionState>;
    std::function<Task<std::optional<State>>(size_t)> read = [this, kind, &numbers](size_t i) {
      return [](std::shared_ptr<Partition> partition) -> Task<std::optional<State>> {
        State state = co_await partition->Read({}, nullptr);
        co_return std::optional<State>(std::move(state));
      }(PartitionOf({kind, numbers[i]}));
    };
    std::vector<std::optional<State>> states =
        co_await Gather<std::optional<State>>(numbers.size(), kWidth, std::move(read));
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (!states[i]->ok()) co_return states[i]->status();
      // One that is listed and not there is being created, or was erased.
      if ((*states[i])->exists) listed.emplace_back(numbers[i], (*states[i])->head);
    }
    after = numbers.back();
    if (numbers.size() < wanted) break;
  }
  co_return listed;
}

// --- reading -----------------------------------------------------------------------

void RadosEngine::Read(PartitionId partition, std::vector<std::string> keys,
                       Done<absl::StatusOr<engine::ReadResult>> done) {
  RunWithin<absl::StatusOr<engine::ReadResult>>(ReadTask(partition, std::move(keys)), std::move(done));
}

Task<absl::StatusOr<engine::ReadResult>> RadosEngine::ReadTask(PartitionId id,
                                                               std::vector<std::string> keys) {
  CO_ASSIGN_OR_RETURN(engine::ReadResult result, co_await ReadPartition(id, std::move(keys)));
  if (result.head && id.kind == PartitionId::Kind::kDomain) {
    CO_ASSIGN_OR_RETURN(const DomainSums sums, co_await SumsOf(id.number));
    result.used_bytes = sums.used_bytes;
    result.used_messages = sums.used_messages;
    result.mailboxes = sums.mailboxes;
    result.reserved = sums.reserved;
  }
  co_return result;
}

Task<absl::StatusOr<PartitionState>> RadosEngine::StateNow(PartitionId id, std::vector<std::string> keys,
                                                           std::map<std::string, std::string>* values) {
  const std::shared_ptr<Partition> partition = PartitionOf(id);
  // What was asked of this store before is seen.
  if (!partition->idle()) {
    Step step;
    step.run = [](Draft&) { return true; };
    CO_RETURN_IF_ERROR(co_await partition->Post(std::move(step)));
  }
  co_return co_await partition->Read(std::move(keys), values);
}

Task<absl::StatusOr<engine::ReadResult>> RadosEngine::ReadPartition(PartitionId id,
                                                                    std::vector<std::string> keys) {
  std::vector<std::string> names;
  for (const std::string& key : keys) names.push_back(PortKey(key));
  std::map<std::string, std::string> values;
  CO_ASSIGN_OR_RETURN(PartitionState state, co_await StateNow(id, std::move(names), &values));
  engine::ReadResult result;
  if (!state.exists && id.kind == PartitionId::Kind::kDirectory) {
    state.exists = true;
    state.head.mutable_directory();
  }
  if (!state.exists) co_return result;
  result.head = std::move(state.head);
  for (auto& [key, value] : values) {
    if (auto plain = FromPortKey(key)) result.values.emplace(*std::move(plain), std::move(value));
  }
  if (id.kind == PartitionId::Kind::kMailbox) {
    result.reserved = {.bytes = state.tail.reserved_bytes(), .messages = state.tail.reservations()};
  }
  co_return result;
}

void RadosEngine::ReadRecent(PartitionId partition, std::vector<std::string> keys,
                             Done<absl::StatusOr<engine::ReadResult>> done) {
  RunWithin<absl::StatusOr<engine::ReadResult>>(ReadRecentTask(partition, std::move(keys)), std::move(done));
}

Task<absl::StatusOr<engine::ReadResult>> RadosEngine::ReadRecentTask(PartitionId id,
                                                                     std::vector<std::string> keys) {
  engine::ReadResult result;
  const int64_t now_us = Clock::System()->MonotonicMicros();
  if (id.kind == PartitionId::Kind::kDirectory) {
    for (const std::string& key : keys) {
      std::optional<std::string> value = directory_keys_.Find(key, now_us);
      if (value) result.values.emplace(key, *std::move(value));
    }
    if (result.values.size() == keys.size()) {
      result.head.emplace().mutable_directory();
      result.recent = true;
      co_return result;
    }
    const uint64_t begun = directory_keys_.Begin();
    CO_ASSIGN_OR_RETURN(result, co_await ReadPartition(id, std::move(keys)));
    for (const auto& [key, value] : result.values) directory_keys_.Keep(begun, key, value, now_us);
    co_return result;
  }
  if (keys.empty()) {
    if (id.kind == PartitionId::Kind::kDomain) CO_RETURN_IF_ERROR((co_await DomainOf(id.number)).status());
    int64_t since_us;
    std::optional<PartitionState> state = PartitionOf(id)->Cached(&since_us);
    if (state && state->exists && now_us - since_us <= kRecent_us) {
      result.head = std::move(state->head);
      if (id.kind == PartitionId::Kind::kMailbox) {
        result.reserved = {.bytes = state->tail.reserved_bytes(), .messages = state->tail.reservations()};
      }
      result.recent = true;
      co_return result;
    }
  }
  auto read = co_await ReadPartition(id, std::move(keys));
  co_return std::move(read);
}

void RadosEngine::Scan(PartitionId partition, std::string from, std::string to, size_t limit,
                       Done<absl::StatusOr<engine::ScanPage>> done) {
  RunWithin<absl::StatusOr<engine::ScanPage>>(ScanTask(partition, std::move(from), std::move(to), limit),
                                              std::move(done));
}

Task<absl::StatusOr<engine::ScanPage>> RadosEngine::ScanTask(PartitionId id, std::string from, std::string to,
                                                             size_t limit) {
  const std::shared_ptr<Partition> partition = PartitionOf(id);
  if (!partition->idle()) {
    Step step;
    step.run = [](Draft&) { return true; };
    CO_RETURN_IF_ERROR(co_await partition->Post(std::move(step)));
  }
  engine::ScanPage page;
  RowScan scan(index_.get(), partition->object(), PortKey(from),
               to.empty() ? EndOf(kPortPrefix) : PortKey(to), std::min<uint64_t>(kRowsInPage, limit + 1));
  Rows rows;
  while (true) {
    CO_ASSIGN_OR_RETURN(const bool more, co_await scan.Next(&rows));
    if (!more) co_return page;
    for (auto& [key, value] : rows) {
      std::optional<std::string> plain = FromPortKey(key);
      if (!plain) continue;
      if (page.items.size() == limit) {
        page.more = true;
        co_return page;
      }
      page.items.emplace_back(*std::move(plain), std::move(value));
    }
  }
}

}  // namespace restante::rados
