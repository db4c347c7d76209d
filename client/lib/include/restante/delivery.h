// Delivering messages to a Restante store, many at a time, without threads.
//
// For MTAs and front ends. One DeliveryClient interleaves any number of
// transactions over one `Deliver` stream or a few and sends what has gathered since
// its last write in one gRPC message. It reconnects by itself, with back-off.
//
//     auto client = restante::DeliveryClient::Connect({.target = "127.0.0.1:8354"});
//     auto t = client->Begin(begin, handler);      // -> OnAnswer(Begun | Refused)
//     t->Recipient("alice@example.org");           // -> OnAnswer(Decision)
//     t->Data();                                   // -> OnAnswer(Ready | Refused)
//     t->Chunk(octets); ...                        // -> OnAnswer(Credit), now and then
//     t->Commit();                                 // -> OnAnswer(Receipts | Refused)
//     client->HandedOver(id, mailboxes);           // the sender has got the 250
//
// For a caller with a message in hand and a thread to wait with: DeliverMessage
// in restante/client.h.
#ifndef RESTANTE_CLIENT_DELIVERY_H_
#define RESTANTE_CLIENT_DELIVERY_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "restante/client_options.h"
#include "restante/v1/delivery.pb.h"

namespace restante {

// Hears of one transaction; all calls come from the executor, in order.
class TransactionHandler {
 public:
  virtual ~TransactionHandler() = default;

  // An answer of the store. Receipts, Refused and Aborted are the last; calls of
  // the transaction are without effect from then on.
  virtual void OnAnswer(const v1::Answer& answer) = 0;

  // The stream is lost, the store away, or an answer overdue; the last call. With
  // `commit_sent` the outcome is unknown: DeliveryClient::Settle finds it out.
  // Else nothing was stored.
  virtual void OnLost(absl::Status why, bool commit_sent) = 0;
};

// One transaction. Calls do not block and do not fail: what goes wrong reaches
// the handler. Not for several threads at once. Destroying it before the last
// answer aborts it (unless Commit was called) and no handler call follows: the
// destructor and the executor must run on the same thread, or the executor must
// be the default one, which the destructor waits for.
class Transaction {
 public:
  virtual ~Transaction() = default;
  void Recipient(std::string address) {
    v1::Recipient recipient;
    recipient.set_address(std::move(address));
    Recipient(std::move(recipient));
  }
  // The same with what else may be said of a recipient.
  virtual void Recipient(v1::Recipient recipient) = 0;
  virtual void Data() = 0;
  // Octets that may be sent now. Grows with Begun and Credit before the handler
  // hears of them.
  virtual uint64_t credit() const = 0;
  // At most `credit()` octets; more fails the transaction (Refused,
  // OUTCOME_CREDIT_EXCEEDED). Split as needed.
  virtual void Chunk(std::string octets) = 0;
  // Sends size and CRC32C of all chunks with it, and the digest that retries of the
  // message are recognised by (v1::Commit; used with Begin.detect_retries). Empty:
  // none.
  virtual void Commit(std::string digest) = 0;
  void Commit() { Commit(std::string()); }
  // Answered by Aborted; destroying does the same without an answer.
  virtual void Abort() = 0;
};

class DeliveryClient {
 public:
  // Begins to connect and returns at once. The client may be destroyed at any
  // time by the thread that may destroy its transactions: no handler is called
  // and no `done` runs afterwards, and calls of its transactions do nothing.
  static std::shared_ptr<DeliveryClient> Connect(ClientOptions options);
  virtual ~DeliveryClient() = default;

  // Opens a transaction. An empty `begin.request_id` is filled with 16 random
  // octets (see NewRequestId); keep one's own to Settle. With the store away,
  // OnLost follows at once or as soon as that is known.
  //
  // `first_recipient`, if it is known already, is what one of several stores is chosen
  // by: the same for the same mailbox, as long as it is there. That is faster; any of
  // them would do.
  virtual std::unique_ptr<Transaction> Begin(v1::Begin begin, TransactionHandler* handler,
                                             absl::string_view first_recipient) = 0;
  std::unique_ptr<Transaction> Begin(v1::Begin begin, TransactionHandler* handler) {
    return Begin(std::move(begin), handler, "");
  }

  // Says that the sender knows of what the Receipts of `transaction_id` said; due
  // for each delivery with a digest. Has no answer, and is best effort: what cannot
  // be sent now goes when the store is back, the oldest given up beyond 10,000. What
  // is on its way when the stream breaks is lost; then the store takes an equal
  // message, should one come, for a retry.
  virtual void HandedOver(std::string transaction_id, std::vector<std::string> mailboxes) = 0;

  // Asks GetReceipt, again and again with back-off, until it is answered or
  // `patience` ends (kDeadlineExceeded: the outcome is still unknown). Any of several
  // stores can tell; they are asked in turn. `done` runs on the executor.
  virtual void Settle(std::string request_id, std::vector<std::string> mailboxes,
                      std::chrono::milliseconds patience,
                      absl::AnyInvocable<void(absl::StatusOr<v1::GetReceiptResponse>)> done) = 0;

  // Asks what Recipient would be answered now; nothing is reserved. `done` runs on
  // the executor, after this has returned. kUnavailable with the store, or all of
  // several, away, kDeadlineExceeded after `patience`.
  virtual void CheckRecipient(v1::CheckRecipientRequest request, std::chrono::milliseconds patience,
                              absl::AnyInvocable<void(absl::StatusOr<v1::CheckRecipientResponse>)> done) = 0;

  // The last answer of GetCapacity, asked for at the start and every few
  // seconds; an empty one before the first.
  virtual v1::Capacity capacity() const = 0;

  // Whether the store, or one of several, answers: false before the first answer, and
  // from the loss of the connection until it stands again.
  virtual bool connected() const = 0;

  // The stores, as they are known now.
  virtual std::vector<StoreState> stores() const = 0;
};

// 16 random octets from the system's generator.
std::string NewRequestId();

}  // namespace restante

#endif  // RESTANTE_CLIENT_DELIVERY_H_
