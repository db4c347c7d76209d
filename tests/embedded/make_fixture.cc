// Makes a fixture of the present format: a data directory with a bit of
// everything, and what it contains. fixtures/README.md says when and how.
//
//   make_fixture tests/embedded/fixtures/format-3
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "restante/v1/common.pb.h"
#include "server/mail/provisioning.h"
#include "tests/embedded/delivery.h"
#include "tests/embedded/small_store.h"
#include "tests/embedded/store_contents.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using engine::PartitionId;
using mail::Address;

void Check(const absl::Status& status, const std::string& what) {
  if (status.ok()) return;
  std::cerr << what << ": " << status << "\n";
  std::exit(1);
}

template <typename T>
T Get(Task<absl::StatusOr<T>> task, const std::string& what) {
  absl::Notification ended;
  std::optional<absl::StatusOr<T>> result;
  Start<absl::StatusOr<T>>(std::move(task), [&](absl::StatusOr<T> value) {
    result = std::move(value);
    ended.Notify();
  });
  AwaitOrDie(ended);
  Check(result->status(), what);
  return **std::move(result);
}

stored::Limit Octets(uint64_t value) {
  stored::Limit limit;
  limit.set_kind(stored::Limit::VALUE);
  limit.set_value(value);
  return limit;
}

engine::TransactionId Id(uint8_t kind, uint64_t number) {
  engine::TransactionId id;
  id.octets[0] = kind;
  for (int i = 0; i < 8; ++i) id.octets[15 - i] = static_cast<uint8_t>(number >> (8 * i));
  return id;
}

// A text that compresses, with lines as mail has them.
std::string Prose(size_t size, uint64_t seed) {
  std::string text = absl::StrCat("Subject: message ", seed, "\r\n\r\n");
  for (uint64_t line = 0; text.size() < size; ++line) {
    absl::StrAppend(&text, "All that is gold does not glitter, not all those who wander are lost; ", line,
                    "\r\n");
  }
  text.resize(size);
  return text;
}

class Maker {
 public:
  explicit Maker(const fs::path& directory) {
    options_.data_dir = directory;
    options_.create = true;
    options_.ballast = 0;
    options_.disk_reserve = 0;
    options_.segment_bytes = 20'000;
    options_.checkpoint_bytes = 30'000;
    options_.maintenance_interval = absl::Milliseconds(20);
    options_.log = [](LogLevel, const std::string&) {};
  }

  void Open() {
    engine_.reset();
    auto opened = embedded::Open(options_);
    Check(opened.status(), "open");
    engine_ = *std::move(opened);
    provisioning_.emplace(engine_.get(), engine::QuotaRules(), Clock::System());
  }

  void Provision() {
    mail::Provisioning& p = *provisioning_;
    Get(p.CreateDomain("example.org", {.default_bytes = Octets(50'000'000), .max_bytes = Octets(200'000'000)},
                       "0123456789abcdef"),
        "domain");
    Get(p.CreateDomain("example.net", {.over_quota = 1}, ""), "domain");
    Get(p.CreateDomain("example.com", {}, ""), "domain");
    alice_ = Mailbox("alice@example.org", {.max_messages = Octets(1'000)});
    bob_ = Mailbox("bob@example.org", {.max_bytes = Octets(20'000'000)});
    carol_ = Mailbox("carol@example.net", {.state = stored::MailboxHead::HOLD});
    gone_ = Mailbox("gone@example.org", {});
    Mailbox("empty@example.com", {.state = stored::MailboxHead::DISABLED});
    Get(p.CreateAlias(At("info@example.org"), At("alice@example.org"), "fedcba9876543210"), "alias");
    Get(p.CreateAlias(At("sales@example.net"), At("bob@example.org"), ""), "alias");
    Get(p.RenameMailbox(At("bob@example.org"), At("robert@example.org"), "", ""), "rename");
    Get(p.UpdateDomain("example.net", {.catch_all = "carol@example.net"}, ""), "catch-all");
    AddFolder();
  }

  // `boxes` get one message; returns the UID in the first.
  uint64_t Put(std::vector<uint64_t> boxes, std::string text, const stored::Entry& like = {},
               std::optional<uint64_t> expected = {}, std::string retry_key = "") {
    Delivery delivery{.transaction = Id(1, ++deliveries_),
                      .text = std::move(text),
                      .expected = expected,
                      .retry_key = std::move(retry_key)};
    delivery.receipt.set_sender("sender@example.com");
    delivery.receipt.set_size(delivery.text.size());
    for (const uint64_t box : boxes) {
      stored::Entry entry = like;
      entry.set_arrival_us(1'700'000'000'000'000 + static_cast<int64_t>(deliveries_));
      entry.mutable_envelope()->set_sender("sender@example.com");
      entry.mutable_envelope()->set_recipient(absl::StrCat("To-", box, "+detail@example.org"));
      delivery.entries.emplace_back(box, std::move(entry));
    }
    if (deliveries_ % 3 == 0) {
      // One more recipient, who was refused.
      delivery.receipt.set_mode(1);
      stored::ReceiptRecipient& refused = *delivery.receipt.add_recipients();
      refused.set_address("nobody@example.org");
      refused.set_decided(v1::OUTCOME_NO_SUCH_MAILBOX);
      refused.set_outcome(v1::OUTCOME_NO_SUCH_MAILBOX);
    }
    auto receipt = Deliver(*engine_, std::move(delivery));
    Check(receipt.status(), "deliver");
    return receipt->recipients(receipt->recipients_size() - static_cast<int>(boxes.size())).uid();
  }

  // Segments full of messages that go again, with some that stay.
  void Fill() {
    for (uint64_t i = 0; i < 12; ++i) Put({gone_, bob_}, Noise(4'000, i));
    for (uint64_t uid = 1; uid <= 12; ++uid) {
      Check(Expunge(*engine_, gone_, uid), "expunge");
      Check(Expunge(*engine_, bob_, uid), "expunge");
    }
    AwaitRemovedSegment();
    Put({alice_}, Prose(300, 1));
    Put({alice_, bob_, carol_}, Prose(600'000, 2));
    stored::Entry flagged;
    flagged.set_flags(5);
    flagged.add_keywords("$Forwarded");
    flagged.add_keywords("work");
    Put({alice_}, Noise(3'000, 100), flagged);
    stored::Entry archived;
    archived.set_folder(1);
    for (uint64_t i = 0; i < 3; ++i) Put({alice_}, Prose(2'000 + i, 10 + i), archived);
    stored::Entry exempt;
    exempt.set_exempt(true);
    Put({bob_}, Prose(1'000, 20), exempt);
    Put({bob_}, "x");
    // Files of their own: the size that is announced decides.
    const uint64_t own_file = 5'000'000;
    Put({alice_, carol_}, Prose(own_file, 30), {}, own_file);
    const uint64_t removed = Put({bob_}, Prose(own_file, 31), {}, own_file);
    Check(Expunge(*engine_, bob_, removed), "expunge");
    Check(Expunge(*engine_, alice_, Put({alice_, bob_}, Noise(3'000, 40))), "expunge");
    for (uint64_t i = 0; i < 8; ++i) Put({i % 2 == 0 ? carol_ : bob_}, Noise(2'500, 50 + i));
    absl::Notification ended;
    Start<absl::Status>(provisioning_->DeleteMailbox(At("gone@example.org"), "", true),
                        [&](absl::Status status) {
                          Check(status, "delete");
                          ended.Notify();
                        });
    AwaitOrDie(ended);
    AddDelivery(Prose(400, 60), "first key, first");
    AddDelivery(Prose(400, 61), "second key, 2nd.");
    const auto tombstone = Await<absl::StatusOr<stored::Receipt>>(
        [&](auto done) { engine_->Settle(Id(2, 1), {alice_}, std::move(done)); });
    Check(tombstone.status(), "settle");
  }

  // Messages whose retries would be recognised, and to whose senders' wishes about
  // notifications somebody may see: two in the index and one behind its checkpoint.
  void AddDelivery(const std::string& text, const std::string& retry_key) {
    stored::Entry entry;
    stored::Envelope& envelope = *entry.mutable_envelope();
    envelope.set_ret(v1::RET_HDRS);
    envelope.set_envid(absl::StrCat("QQ+2B", retry_key.substr(0, 1)));
    for (const char* detail : {"a", "b"}) {
      stored::DsnRecipient& recipient = *envelope.add_dsn_recipients();
      recipient.set_address(absl::StrCat("alice+", detail, "@example.org"));
      recipient.add_notify(v1::NOTIFY_DELAY);
      recipient.add_notify(v1::NOTIFY_SUCCESS);
      recipient.set_orcpt(absl::StrCat("rfc822;alice+2B", detail, "@example.com"));
    }
    Put({alice_, carol_}, text, entry, {}, retry_key);
  }

  // The log's end, behind the last checkpoint.
  void AddTail() {
    AddDelivery(Prose(400, 202), "third key, third");
    Put({alice_, bob_}, Noise(2'000, 200));
    Check(Expunge(*engine_, bob_, 13), "expunge");
    Put({carol_}, Prose(5'000, 201));
    while (engine_->Figures().at("index_backlog_bytes") != 0) absl::SleepFor(absl::Milliseconds(1));
  }

  std::vector<std::string> Contents() {
    std::vector<engine::TransactionId> receipts;
    for (uint64_t i = 1; i <= deliveries_; ++i) receipts.push_back(Id(1, i));
    receipts.push_back(Id(2, 1));
    receipts.push_back(Id(3, 1));
    return ContentsOf(*engine_, receipts);
  }

  engine::Engine& engine() { return *engine_; }
  void Close() { engine_.reset(); }

 private:
  static Address At(absl::string_view text) { return *mail::ParseAddress(text); }
  uint64_t Mailbox(absl::string_view address, mail::MailboxSettings settings) {
    return Get(provisioning_->CreateMailbox(At(address), std::move(settings), ""), "mailbox").number;
  }
  void ChangeHead(PartitionId partition, const std::function<void(stored::Head&)>& change_head) {
    Check(Await<absl::Status>([&](auto done) {
            engine_->Update(
                partition, {},
                [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                  engine::Change change;
                  change.head = *view.head;
                  change_head(change.head);
                  return change;
                },
                std::move(done));
          }),
          "head");
  }
  // Beside INBOX: the mail layer of format 1 does not make any yet.
  void AddFolder() {
    uint32_t uid_validity = 0;
    ChangeHead(PartitionId::Directory(), [&](stored::Head& head) {
      uid_validity = head.directory().uid_validity_next();
      head.mutable_directory()->set_uid_validity_next(uid_validity + 1);
    });
    ChangeHead(PartitionId::Mailbox(alice_), [&](stored::Head& head) {
      stored::Folder& folder = *head.mutable_mailbox()->add_folders();
      folder.set_name("Archive/2023");
      folder.set_uid_validity(uid_validity);
      folder.set_id(1);
    });
  }
  void AwaitRemovedSegment() {
    while (fs::exists(fs::path(options_.data_dir) / "segments/0000000000000001.log")) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  Options options_;
  std::unique_ptr<engine::Engine> engine_;
  std::optional<mail::Provisioning> provisioning_;
  uint64_t alice_ = 0, bob_ = 0, carol_ = 0, gone_ = 0;
  uint64_t deliveries_ = 0;
};

int Make(const fs::path& fixture) {
  if (fs::exists(fixture)) {
    std::cerr << fixture << " is there already; a fixture is never made again\n";
    return 2;
  }
  Directory scratch;
  Maker maker(scratch.path / "data");
  maker.Open();
  maker.Provision();
  maker.Fill();
  maker.Open();
  maker.AddTail();
  // As a kill would leave it: with work for recovery.
  fs::create_directories(fixture);
  fs::copy(scratch.path / "data", fixture / "data", fs::copy_options::recursive);
  const std::vector<std::string> contents = maker.Contents();
  maker.Close();
  fs::copy(fixture / "data", scratch.path / "again", fs::copy_options::recursive);
  Maker again(scratch.path / "again");
  again.Open();
  if (ContentsOf(again.engine(), ReceiptsIn(contents)) != contents) {
    std::cerr << "the copy does not contain what the store did; make it once more\n";
    fs::remove_all(fixture);
    return 1;
  }
  WriteFile(fixture / "contents.txt", absl::StrJoin(contents, "\n") + "\n");
  std::cout << fixture.string() << ": " << contents.size() << " lines of contents\n";
  return 0;
}

}  // namespace
}  // namespace restante::embedded

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_fixture DIRECTORY\n";
    return 2;
  }
  return restante::embedded::Make(argv[1]);
}
