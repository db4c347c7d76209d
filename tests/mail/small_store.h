// A store over the memory engine with the domain example.org, for tests of
// deliveries: mailboxes are made in one line and looked at in another.
#ifndef RESTANTE_TESTS_MAIL_SMALL_STORE_H_
#define RESTANTE_TESTS_MAIL_SMALL_STORE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "server/base/fake_clock.h"
#include "server/engine/memory/memory_engine.h"
#include "server/mail/deliveries.h"
#include "server/mail/directory.h"

namespace restante::mail {

class SmallStore {
 public:
  explicit SmallStore(DeliveryOptions options = {}, uint64_t max_disk = 1 << 30) {
    engine::MemoryOptions memory;
    memory.rules = options.rules;
    memory.clock = &clock_;
    memory.max_disk = max_disk;
    engine_ = engine::NewMemoryEngine(std::move(memory));
    directory_ = std::make_unique<Directory>(engine_.get(), Directory::Options{"+", ""});
    deliveries_ = std::make_unique<Deliveries>(engine_.get(), directory_.get(), options, &clock_);
    domain_ = engine_->NewNumber();
    stored::Head head;
    head.mutable_domain()->set_name("example.org");
    Put(engine::PartitionId::Domain(domain_), head);
    stored::DirectoryDomain entry;
    entry.set_domain(domain_);
    PutDirectory(DomainKey("example.org"), entry.SerializeAsString());
  }

  void Put(engine::PartitionId partition, stored::Head head) {
    absl::Status status = absl::UnknownError("never answered");
    engine_->Update(
        partition, {},
        [&](const engine::View&) {
          engine::Change change;
          change.head = head;
          return engine::Verdict(change);
        },
        [&](absl::Status s) { status = s; });
    ASSERT_TRUE(status.ok()) << status;
  }
  void PutDirectory(std::string key, std::string value) {
    engine_->Update(
        engine::PartitionId::Directory(), {},
        [&](const engine::View& view) {
          engine::Change change;
          if (view.head) change.head = *view.head;
          change.head.mutable_directory();
          change.puts.emplace_back(key, value);
          return engine::Verdict(change);
        },
        [](absl::Status s) { ASSERT_TRUE(s.ok()) << s; });
  }
  uint64_t MakeMailbox(std::string local, uint64_t bytes, uint64_t messages = 1000,
                       stored::MailboxHead::State state = stored::MailboxHead::ACTIVE) {
    const uint64_t number = engine_->NewNumber();
    stored::Head head;
    stored::MailboxHead& mailbox = *head.mutable_mailbox();
    mailbox.set_address(local + "@example.org");
    mailbox.set_domain(domain_);
    mailbox.set_state(state);
    mailbox.set_uid_next(1);
    mailbox.mutable_max_bytes()->set_kind(stored::Limit::VALUE);
    mailbox.mutable_max_bytes()->set_value(bytes);
    mailbox.mutable_max_messages()->set_kind(stored::Limit::VALUE);
    mailbox.mutable_max_messages()->set_value(messages);
    Put(engine::PartitionId::Mailbox(number), head);
    stored::DirectoryAddress entry;
    entry.set_mailbox(number);
    PutDirectory(AddressKey({local, "example.org"}), entry.SerializeAsString());
    return number;
  }
  void MakeAlias(std::string local, uint64_t mailbox) {
    stored::DirectoryAddress entry;
    entry.set_mailbox(mailbox);
    entry.set_alias(true);
    PutDirectory(AddressKey({local, "example.org"}), entry.SerializeAsString());
  }
  void SetPolicy(uint32_t over_quota) {
    stored::Head head;
    head.mutable_domain()->set_name("example.org");
    head.mutable_domain()->set_over_quota(over_quota);
    Put(engine::PartitionId::Domain(domain_), head);
  }
  engine::ReadResult Look(uint64_t mailbox) {
    engine::ReadResult result;
    engine_->Read(engine::PartitionId::Mailbox(mailbox), {},
                  [&](absl::StatusOr<engine::ReadResult> r) { result = *std::move(r); });
    return result;
  }
  uint64_t Used(uint64_t mailbox) { return Look(mailbox).head->mailbox().used_bytes(); }
  uint64_t Messages(uint64_t mailbox) { return Look(mailbox).head->mailbox().used_messages(); }
  uint64_t ReservedIn(uint64_t mailbox) { return Look(mailbox).reserved.bytes; }

  FakeClock clock_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<Deliveries> deliveries_;
  uint64_t domain_ = 0;
};

}  // namespace restante::mail

#endif  // RESTANTE_TESTS_MAIL_SMALL_STORE_H_
