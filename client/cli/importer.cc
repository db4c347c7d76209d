#include "client/cli/importer.h"

#include <openssl/sha.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/names.h"
#include "client/lib/crc32c.h"
#include "restante/errors.h"
#include "server/base/status_macros.h"
#include "server/mail/message_limits.h"

namespace restante::cli {
namespace {

// The store makes what comes together durable together.
constexpr size_t kParallel = 48;
constexpr size_t kQueued = 2 * kParallel;
constexpr uint64_t kMemory = uint64_t{128} << 20;
constexpr size_t kIdOctets = 16;
// How long the store may be busy with what an attempt before left behind.
constexpr absl::Duration kPatience = absl::Minutes(2);

std::string Sha256(absl::string_view text) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest);
  return std::string(reinterpret_cast<const char*>(digest), sizeof(digest));
}

// An earlier attempt's request has not ended yet, or other deliveries to the mailbox are
// under way: later there will be an answer.
bool IsForLater(const absl::Status& status) {
  const std::optional<v1::ErrorInfo> info = GetErrorInfo(status);
  return info && (info->reason() == "REQUEST_ID_IN_USE" || info->reason() == "TOO_MANY_DELIVERIES");
}

// The others are not worse for it.
bool IsOfThisMessage(const absl::Status& status) {
  const std::optional<v1::ErrorInfo> info = GetErrorInfo(status);
  return absl::IsInvalidArgument(status) ||
         (info && (info->reason() == "MESSAGE_TOO_LARGE" || info->reason() == "TOO_MANY_FOLDERS"));
}

std::string ShortageOf(const absl::Status& status) {
  const std::optional<v1::ErrorInfo> info = GetErrorInfo(status);
  if (!info || !info->metadata().contains("limit")) return "";
  const auto amount = [&](const char* name) { return info->metadata().at(name); };
  return absl::StrCat(" (limit ", amount("limit"), ", used ", amount("used"), ", reserved ",
                      amount("reserved"), ", needed ", amount("needed"), ")");
}

google::protobuf::Timestamp TimestampOf(absl::Time time) {
  google::protobuf::Timestamp out;
  const timespec parts = absl::ToTimespec(time);
  out.set_seconds(parts.tv_sec);
  out.set_nanos(static_cast<int32_t>(parts.tv_nsec));
  return out;
}

bool IsKeyword(absl::string_view keyword) {
  return !keyword.empty() && keyword.size() <= mail::kMaxKeywordOctets &&
         mail::HasKeywordCharactersOnly(keyword);
}

}  // namespace

Importer::Importer(Context& context, ImportOptions options)
    : context_(context), options_(options), progress_("importing") {}

Importer::~Importer() {
  stopped_ = true;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

absl::Status Importer::Begin(const std::string& address) {
  v1::GetMailboxRequest get;
  get.set_name(MailboxName(address));
  ASSIGN_OR_RETURN(mailbox_, context_.client().GetMailbox(get));
  ASSIGN_OR_RETURN(const v1::Capacity capacity, context_.client().GetCapacity(v1::GetCapacityRequest()));
  max_message_ = capacity.max_message_bytes();
  RETURN_IF_ERROR(ListWhatIsThere());
  if (!options_.journal.empty()) {
    if (absl::Status opened = journal_.Open(options_.journal, &there_); !opened.ok()) {
      return UsageError(opened.message());
    }
  }
  for (size_t i = 0; i < kParallel; ++i) threads_.emplace_back([this] { Work(); });
  return absl::OkStatus();
}

absl::Status Importer::ListWhatIsThere() {
  v1::ListMessagesRequest list;
  list.set_parent(mailbox_.name());
  return ForEachMessage(context_.client(), std::move(list), [this](const v1::ListMessagesResponse& page) {
    for (const v1::Message& message : page.messages()) {
      if (!message.request_id().empty()) there_.insert(message.request_id());
    }
    return absl::OkStatus();
  });
}

bool Importer::Add(ImportedMessage message) {
  absl::MutexLock lock(&mutex_);
  const auto room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return queue_.size() < kQueued || stopped();
  };
  mutex_.Await(absl::Condition(&room));
  if (stopped()) return false;
  queue_.push_back(std::move(message));
  return true;
}

void Importer::AddProblem(absl::string_view text) {
  absl::MutexLock lock(&mutex_);
  ++failed_;
  progress_.Hide();
  context_.err << "restante: " << Printable(text) << "\n";
}

void Importer::Work() {
  while (true) {
    ImportedMessage message;
    {
      absl::MutexLock lock(&mutex_);
      const auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopped() ||
               (queue_.empty() ? ended_ : loaded_ == 0 || loaded_ + queue_.front().size <= kMemory);
      };
      mutex_.Await(absl::Condition(&wanted));
      if (stopped() || queue_.empty()) return;
      message = std::move(queue_.front());
      queue_.pop_front();
      loaded_ += message.size;
    }
    Import(message);
    absl::MutexLock lock(&mutex_);
    loaded_ -= message.size;
    Show();
  }
}

std::optional<std::string> Importer::RequestIdOf(const ImportedMessage& message, const FileMessage& file) {
  // Lengths in front, so that no two sequences run together.
  std::string input = "restante import";
  for (const std::string& part : {mailbox_.id(), message.folder, message.name, Sha256(file.text)}) {
    absl::StrAppend(&input, " ", part.size(), " ", part);
  }
  std::string id = Sha256(input).substr(0, kIdOctets);
  uint64_t before = 0;
  {
    absl::MutexLock lock(&mutex_);
    before = seen_[id]++;
  }
  if (before == 0) return id;
  if (!message.count_equal) return std::nullopt;
  return Sha256(absl::StrCat(id, before)).substr(0, kIdOctets);
}

void Importer::Import(const ImportedMessage& message) {
  absl::StatusOr<FileMessage> file = message.load();
  if (!file.ok()) return AddProblem(file.status().message());
  const std::optional<std::string> id = RequestIdOf(message, *file);
  if (!id || there_.contains(*id)) {
    absl::MutexLock lock(&mutex_);
    ++present_;
    return;
  }
  v1::AppendMessageRequest::Header header;
  header.set_parent(FolderName(mailbox_.name(), message.folder));
  header.set_request_id(*id);
  header.set_size_bytes(file->text.size());
  header.set_crc32c(client_internal::ExtendCrc32c(0, file->text));
  *header.mutable_arrival_time() = TimestampOf(message.arrival);
  for (const v1::Flag flag : message.flags) header.add_flags(flag);
  for (const std::string& keyword : message.keywords) {
    if (IsKeyword(keyword) && std::cmp_less(header.keywords_size(), mail::kMaxKeywords))
      header.add_keywords(keyword);
  }
  header.set_sender(file->sender);
  header.set_recipient(file->recipient);
  header.set_ignore_quota(options_.ignore_quota);
  header.set_while_on_hold(mailbox_.state() == v1::Mailbox::HOLD);

  const absl::StatusOr<v1::Message> stored = Append(header, file->text);
  if (!stored.ok() && IsOfThisMessage(stored.status())) {
    return AddProblem(absl::StrCat(message.label, ": ", stored.status().message()));
  }
  if (!stored.ok()) return Stop(message, stored.status());
  if (const absl::Status noted = journal_.Add(header.request_id()); !noted.ok()) Stop(message, noted);
  absl::MutexLock lock(&mutex_);
  if (stored->modseq() == 0) {
    ++present_;  // It was, and has been expunged since.
  } else {
    ++imported_;
    bytes_ += stored->size_bytes();
  }
}

absl::StatusOr<v1::Message> Importer::Append(const v1::AppendMessageRequest::Header& header,
                                             absl::string_view text) {
  const absl::Time until = absl::Now() + kPatience;
  while (true) {
    absl::StatusOr<v1::Message> stored = context_.client().AppendMessage(header, text);
    if (stored.ok() || !IsForLater(stored.status()) || stopped() || absl::Now() > until) return stored;
    absl::SleepFor(absl::Milliseconds(50));
  }
}

void Importer::Stop(const ImportedMessage& message, const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  if (!why_.ok()) return;
  why_ = absl::Status(why.code(), absl::StrCat(message.label, ": ", why.message(), ShortageOf(why)));
  // What it is, and what the store said about it, is known by these.
  why.ForEachPayload([this](absl::string_view url, const absl::Cord& payload)
                         ABSL_NO_THREAD_SAFETY_ANALYSIS { why_.SetPayload(url, payload); });
}

void Importer::Show() { progress_.Show(imported_ + present_ + failed_, options_.total); }

absl::Status Importer::Finish(Record record) {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  progress_.Hide();
  absl::MutexLock lock(&mutex_);
  record.Number("imported_messages", imported_)
      .Size("imported_bytes", bytes_)
      .Number("present_messages", present_)
      .Number("failed_messages", failed_);
  Printer(context_.out, context_.json()).One(record);
  if (!why_.ok()) {
    context_.err << "restante: " << imported_ + present_
                 << " messages are in; the same command goes on behind them\n";
    return why_;
  }
  if (failed_ > 0) return absl::DataLossError(absl::StrCat(failed_, " messages could not be imported"));
  return absl::OkStatus();
}

}  // namespace restante::cli
