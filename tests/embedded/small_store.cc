#include "tests/embedded/small_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/delivery.h"

namespace restante::embedded {

using engine::BodyId;
using engine::Change;
using engine::PartitionId;
using engine::Verdict;
using engine::View;

void AwaitOrDie(const absl::Notification& done) {
  if (done.WaitForNotificationWithTimeout(absl::Minutes(2))) return;
  std::fprintf(stderr, "a callback of the engine was never called\n");
  std::abort();
}

Directory::Directory() {
  std::string pattern = access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : testing::TempDir();
  pattern += "restante-embedded-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path = pattern;
}

Directory::~Directory() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

std::string Noise(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text;
  while (text.size() < size) {
    const uint64_t word = random();
    text.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  text.resize(size);
  return text;
}

SmallStore::SmallStore(std::filesystem::path directory) {
  options.data_dir = directory;
  options.create = true;
  options.ballast = 0;
  options.disk_reserve = 0;
  options.log = [](LogLevel, const std::string&) {};
}

absl::Status SmallStore::Open() {
  engine.reset();
  ASSIGN_OR_RETURN(engine, embedded::Open(options));
  const auto mailboxes = Await<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>>(
      [&](auto done) { engine->ListPartitions(PartitionId::Kind::kMailbox, 0, 1, std::move(done)); });
  if (!mailboxes->empty()) {
    mailbox = mailboxes->front().first;
    return absl::OkStatus();
  }
  const uint64_t domain = engine->NewNumber();
  mailbox = engine->NewNumber();
  stored::Head head;
  head.mutable_domain()->set_name("example.org");
  RETURN_IF_ERROR(Await<absl::Status>([&](auto done) {
    engine->Update(
        PartitionId::Domain(domain), {},
        [&](const View&) -> absl::StatusOr<Verdict> {
          Change change;
          change.head = head;
          return change;
        },
        std::move(done));
  }));
  head.mutable_mailbox()->set_address("alice@example.org");
  head.mutable_mailbox()->set_domain(domain);
  head.mutable_mailbox()->set_uid_next(1);
  return Await<absl::Status>([&](auto done) {
    engine->Update(
        PartitionId::Mailbox(mailbox), {},
        [&](const View&) -> absl::StatusOr<Verdict> {
          Change change;
          change.head = head;
          return change;
        },
        std::move(done));
  });
}

engine::TransactionId SmallStore::NewTransaction() {
  // Unique over processes and threads.
  static std::atomic<uint64_t> count{0};
  thread_local std::mt19937_64 random{std::random_device{}()};
  engine::TransactionId id;
  const uint64_t words[2] = {random(), (uint64_t{static_cast<uint32_t>(getpid())} << 32) + ++count};
  std::memcpy(id.octets.data(), words, sizeof(words));
  return id;
}

absl::StatusOr<stored::Receipt> SmallStore::Deliver(const std::string& text) {
  return DeliverAs(NewTransaction(), text);
}

absl::StatusOr<stored::Receipt> SmallStore::DeliverAs(engine::TransactionId id, const std::string& text,
                                                      stored::Entry entry) {
  Delivery delivery{.transaction = id, .text = text};
  delivery.entries.emplace_back(mailbox, std::move(entry));
  return embedded::Deliver(*engine, std::move(delivery));
}

absl::StatusOr<stored::Receipt> SmallStore::Settle(engine::TransactionId transaction) {
  return Await<absl::StatusOr<stored::Receipt>>(
      [&](auto done) { engine->Settle(transaction, {mailbox}, std::move(done)); });
}

absl::Status SmallStore::Expunge(uint64_t uid) { return embedded::Expunge(*engine, mailbox, uid); }

absl::Status SmallStore::Touch() {
  return Await<absl::Status>([&](auto done) {
    engine->Update(
        PartitionId::Mailbox(mailbox), {},
        [](const View& view) -> absl::StatusOr<Verdict> {
          Change change;
          change.head = *view.head;
          change.head.set_settings_version(change.head.settings_version() + 1);
          return change;
        },
        std::move(done));
  });
}

std::vector<stored::Entry> SmallStore::Entries() {
  const auto page = Await<absl::StatusOr<engine::ScanPage>>([&](auto done) {
    engine->Scan(PartitionId::Mailbox(mailbox), "m/", "m0", 1'000'000, std::move(done));
  });
  EXPECT_TRUE(page.ok()) << page.status();
  std::vector<stored::Entry> entries;
  if (!page.ok()) return entries;
  for (const auto& [key, value] : page->items) entries.emplace_back().ParseFromString(value);
  return entries;
}

absl::StatusOr<std::string> SmallStore::TextOf(const stored::Entry& entry) {
  std::string text;
  while (text.size() < entry.size()) {
    ASSIGN_OR_RETURN(const std::string part, Await<absl::StatusOr<std::string>>([&](auto done) {
                       engine->ReadBody(BodyId{entry.body()}, text.size(), 1 << 20, std::move(done));
                     }));
    if (part.empty()) return absl::DataLossError("the body ends early");
    text += part;
  }
  return text;
}

std::vector<std::string> SmallStore::Texts() {
  std::vector<std::string> texts;
  for (const stored::Entry& entry : Entries()) {
    const absl::StatusOr<std::string> text = TextOf(entry);
    EXPECT_TRUE(text.ok()) << text.status();
    texts.push_back(text.ok() ? *text : "");
  }
  return texts;
}

std::vector<std::string> SmallStore::Problems() {
  auto problems = Await<absl::StatusOr<std::vector<std::string>>>(
      [&](auto done) { engine->VerifyBodies([](uint64_t) {}, std::move(done)); });
  if (!problems.ok()) return {std::string(problems.status().message())};
  const auto read = Await<absl::StatusOr<engine::ReadResult>>(
      [&](auto done) { engine->Read(PartitionId::Mailbox(mailbox), {}, std::move(done)); });
  if (!read.ok() || !read->head) return {"no mailbox"};
  uint64_t bytes = 0, messages = 0;
  for (const stored::Entry& entry : Entries()) {
    bytes += entry.size();
    ++messages;
  }
  const stored::MailboxHead& head = read->head->mailbox();
  if (head.used_bytes() != bytes || head.used_messages() != messages) {
    problems->push_back(absl::StrCat("used: ", head.used_bytes(), " bytes, ", head.used_messages(),
                                     " messages; the sum is ", bytes, ", ", messages));
  }
  return *std::move(problems);
}

void SmallStore::AwaitFigure(const std::string& name, absl::FunctionRef<bool(uint64_t)> reached) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!reached(Figure(name))) {
    if (std::chrono::steady_clock::now() > deadline) {
      std::fprintf(stderr, "%s stays %llu\n", name.c_str(), static_cast<unsigned long long>(Figure(name)));
      for (const auto& [other, value] : engine->Figures()) {
        std::fprintf(stderr, "  %s %llu\n", other.c_str(), static_cast<unsigned long long>(value));
      }
      std::abort();
    }
    std::this_thread::yield();
  }
}

void SmallStore::CopyTo(const std::filesystem::path& to) const {
  std::filesystem::remove_all(to);
  std::filesystem::copy(options.data_dir, to, std::filesystem::copy_options::recursive);
}

std::filesystem::path SmallStore::Segment(uint64_t number) const {
  return std::filesystem::path(options.data_dir) / "segments" / SegmentName(number);
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

void WriteFile(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

}  // namespace restante::embedded
