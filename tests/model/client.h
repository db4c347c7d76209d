// One client of both stores: it does something to the embedded store, the same
// to the memory store, and compares what it is told.
//
// It has two domains, and everything in them, for itself. So what it is told does
// not depend on the others, who run at the same time in threads of their own and
// share log, index, directory and disk with it.
#ifndef RESTANTE_TESTS_MODEL_CLIENT_H_
#define RESTANTE_TESTS_MODEL_CLIENT_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "server/base/fake_clock.h"
#include "tests/model/conversation.h"
#include "tests/model/judge.h"
#include "tests/model/letter.h"
#include "tests/model/shared_mailboxes.h"
#include "tests/model/world.h"

namespace restante::model {

class Client {
 public:
  Client(int number, uint64_t seed, Worlds worlds, SharedMailboxes* shared, const FakeClock* clock,
         uint64_t grace_bytes, Judge* judge);

  // One operation on both stores; in a crowd, in the mailboxes that all share. The
  // client's own thread.
  void Step(bool crowd);

  // --- between rounds, when nobody steps ---

  // The clock was moved: transactions may have been ended for it.
  void Listen();
  // The process ends: streams with it.
  void HangUp();
  // Everything that it has in a store, messages with their texts.
  std::string Everything(World& world);

 private:
  // A delivery under way in both stores.
  struct Delivery {
    Letter letter;
    std::shared_ptr<Conversation> with[2];
    size_t next = 0;  // Recipient, behind them Data, behind that the text.
    bool begun = false;
    bool exempt = false;  // Some of it is not subject to quota.
    size_t sent = 0;
  };
  // What counts against a limit.
  struct Scope {
    uint64_t bytes = 0, messages = 0;  // Used and reserved.
    uint64_t used = 0;
    uint64_t max_bytes = 0, max_messages = 0;
  };
  // All of its domains and mailboxes, by name.
  struct Look {
    std::string text;
    std::map<std::string, Scope> scopes;
    std::map<std::string, uint64_t> uid_next;
  };

  // Does `op` to both stores and compares the answers.
  void Both(std::string what, absl::FunctionRef<std::string(World&)> op);
  Look LookAt(World& world) const;
  std::string Events(World& world);
  void CheckBounds(const Look& before, const Look& after);
  void Fail(absl::string_view what);

  // --- client_deliveries.cc ---
  void Deliver();
  void BeginDelivery();
  Letter NewLetter();
  std::string RandomRecipient();
  void Tell(Delivery& delivery, const std::string& what, const v1::Event& event);
  void HangUpOn(Delivery& delivery, const std::optional<v1::Event>& event);
  void CommitAndSettle(Delivery& delivery);
  void Settle();
  void HandOver();
  void CheckRecipient();
  // Whether it is certain if a store still has a receipt of this id, should there be one.
  bool ReceiptIsCertain(const std::string& request_id);
  void DropEnded();
  void ForgetOldIds();

  // --- client_provisioning.cc ---
  mail::DomainSettings RandomDomainSettings();
  mail::MailboxSettings RandomMailboxSettings();
  void CreateDomain();
  void CreateMailbox();
  void ChangeDomain();
  void ChangeMailbox();
  void ChangeAlias();
  void ListNames();

  // --- client_messages.cc ---
  void Append();
  void Expunge();
  void ListMessages();
  void ReadMessage();
  void Recalculate();
  void Copy();
  void Flag();

  // --- choices ---
  std::string RandomDomain() { return dice_.Pick(domains_); }
  mail::Address RandomMailbox();
  mail::Address RandomAlias();
  std::vector<uint64_t> RandomUids(const mail::Address& mailbox);
  std::string NewRequestId();
  std::string RandomText();

  const int number_;
  const std::string caller_;
  const Worlds worlds_;
  SharedMailboxes* const shared_;
  const FakeClock* const clock_;
  const uint64_t grace_bytes_;
  Judge* const judge_;
  Dice dice_;
  const std::vector<std::string> domains_;
  std::map<std::string, uint32_t> pools_[2];  // Percent, as was told last, by name.
  uint64_t heard_[2] = {0, 0};                // Up to which event, in each store.

  std::deque<Delivery> deliveries_;
  std::deque<Letter> past_;      // Oldest first.
  std::deque<Letter> answered_;  // Of these, some that are stored and have retries.
  // When a request id was used: each time it may have got a receipt or a tombstone.
  struct Uses {
    int64_t first_us, last_us;  // Monotonic; the first since the last were forgotten.
  };
  std::map<std::string, Uses> uses_;

  uint64_t step_ = 0;
  std::string doing_;
  bool exempt_ = false;  // What it does now is not bound by quota.
  Look seen_;            // In both.
};

}  // namespace restante::model

#endif  // RESTANTE_TESTS_MODEL_CLIENT_H_
