// A store of the whole mail layer on a directory, which is shut down and started
// again on a machine whose clocks do as they are told.
#ifndef RESTANTE_TESTS_TIME_KEPT_STORE_H_
#define RESTANTE_TESTS_TIME_KEPT_STORE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/base/fake_clock.h"
#include "server/engine/embedded/embedded_engine.h"
#include "tests/embedded/small_store.h"
#include "tests/model/conversation.h"
#include "tests/model/letter.h"
#include "tests/model/world.h"

namespace restante {

inline constexpr int64_t kSecond = 1'000'000;
inline constexpr int64_t kHour = 3600 * kSecond;
inline constexpr int64_t kDay = 24 * kHour;

class KeptStore : public testing::Test {
 protected:
  KeptStore() {
    Boot();
    EXPECT_TRUE(model::Get(world_->provisioning().CreateDomain("example.org", {}, "")).ok());
  }
  ~KeptStore() override { Shutdown(); }

  // The monotonic clock begins anew; the wall clock is where it was, or wherever
  // a test sets it.
  void Boot() {
    const int64_t wall = clock_ ? clock_->WallMicros() : FakeClock().WallMicros();
    clock_ = std::make_unique<FakeClock>();
    clock_->SetWall(wall);
    world_ = std::make_unique<model::World>(
        model::kEmbedded,
        [this]() -> absl::StatusOr<std::shared_ptr<engine::Engine>> {
          embedded::Options options;
          options.data_dir = directory_.path / "data";
          options.create = true;
          options.clock = clock_.get();
          options.disk_reserve = 0;
          options.ballast = 0;
          options.maintenance_interval = absl::Milliseconds(5);
          options.log = [](LogLevel, const std::string&) {};
          return embedded::Open(std::move(options));
        },
        mail::DeliveryOptions(), clock_.get());
    const absl::Status opened = world_->Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  void Shutdown() { world_->Close(); }
  void Reboot() {
    Shutdown();
    Boot();
  }

  void SetWall(int64_t by) { clock_->SetWall(clock_->WallMicros() + by); }
  // Time passes, in which the store writes something now and then.
  void Pass(int64_t micros) {
    clock_->Advance(micros);
    EXPECT_TRUE(model::Get(world_->provisioning().UpdateDomain("example.org", {}, "")).ok());
  }

  void MakeMailbox(const std::string& local, uint64_t bytes) {
    mail::stored::Limit limit;
    limit.set_kind(mail::stored::Limit::VALUE);
    limit.set_value(bytes);
    mail::MailboxSettings settings;
    settings.max_bytes = limit;
    EXPECT_TRUE(model::Get(world_->provisioning().CreateMailbox({local, "example.org"}, settings, "")).ok());
  }
  uint64_t Messages(const std::string& local) {
    const auto view = model::Get(world_->provisioning().GetMailbox({local, "example.org"}));
    return view.ok() ? view->head.mailbox().used_messages() : 0;
  }

  // A letter of `size` octets; the same name, the same request id.
  static model::Letter LetterOf(char name, size_t size, const std::string& to = "alice") {
    model::Letter letter;
    letter.request_id = std::string(16, name);
    letter.sender = "sender@example.net";
    letter.recipients = {to + "@example.org"};
    letter.text = model::MakeText(1, size);
    letter.declared = size;
    return letter;
  }
  std::shared_ptr<model::Conversation> Begin(const model::Letter& letter) {
    auto conversation = model::Conversation::Begin(world_->deliveries(), "caller");
    conversation->Ask(letter.Begin());
    return conversation;
  }
  // The outcome for the only recipient; the conversation goes on if it is OK.
  static v1::Outcome Recipient(model::Conversation& conversation, const model::Letter& letter) {
    conversation.Ask(letter.Recipient(0));
    return conversation.outcome();
  }
  // Data, text and Commit: how it ends.
  static v1::Outcome Finish(model::Conversation& conversation, const model::Letter& letter) {
    conversation.Ask(model::Letter::Data());
    if (!conversation.over()) conversation.Ask(letter.Chunk(0, letter.text.size()));
    if (!conversation.over()) conversation.Ask(letter.Commit());
    return conversation.outcome();
  }
  // The whole of it: the receipts, or the outcome that it ended with.
  std::string Deliver(const model::Letter& letter) {
    const auto conversation = Begin(letter);
    if (!conversation->over()) Recipient(*conversation, letter);
    const v1::Outcome outcome = Finish(*conversation, letter);
    return outcome == v1::OUTCOME_OK ? conversation->receipts().ShortDebugString()
                                     : v1::Outcome_Name(outcome);
  }
  bool Settled(char name) {
    const auto settled = embedded::Await<absl::StatusOr<v1::GetReceiptResponse>>([&](auto done) {
      world_->deliveries().Settle("caller", std::string(16, name), {}, std::move(done));
    });
    return settled.ok() && settled->committed();
  }

  embedded::Directory directory_;
  std::unique_ptr<FakeClock> clock_;
  std::unique_ptr<model::World> world_;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_TIME_KEPT_STORE_H_
