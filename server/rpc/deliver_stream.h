// One `Deliver` stream: reads events, hands each to its transaction, and writes
// the answers that have gathered since the last write in one message.
#ifndef RESTANTE_SERVER_RPC_DELIVER_STREAM_H_
#define RESTANTE_SERVER_RPC_DELIVER_STREAM_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "restante/v1/delivery.pb.h"
#include "server/access/authorizer.h"
#include "server/base/strand.h"
#include "server/mail/deliveries.h"
#include "server/mail/transaction.h"
#include "server/rpc/call.h"

namespace restante::rpc {

// Which transaction numbers a stream has seen. Numbers that ascend by one, from
// any start, cost nothing; others cost memory, which is bounded.
class SeenNumbers {
 public:
  enum class Result { kNew, kSeen, kTooMany };
  static constexpr size_t kMaxSparse = 100'000;

  Result Add(uint64_t number);
  bool Contains(uint64_t number) const;

 private:
  bool any_ = false;
  uint64_t first_ = 0, last_ = 0;  // Seen without a gap.
  absl::flat_hash_set<uint64_t> sparse_;
};

// What a stream's transactions talk through, and may outlive it: reactions and
// engine answers both come in over the strand, and all state belongs to it.
class DeliverStream final : public mail::TransactionSink, public std::enable_shared_from_this<DeliverStream> {
 public:
  // Serves a new stream, to its end.
  static Task<absl::Status> Serve(mail::Deliveries* deliveries, Call& call);

  void Post(absl::AnyInvocable<void()> fn) override { strand_.Post(std::move(fn)); }
  void Send(v1::Answer answer) override;
  void Ended(uint64_t number) override;
  void OutcomeUnknown(absl::Status why) override;

 private:
  DeliverStream(mail::Deliveries* deliveries, Call* call, absl::AnyInvocable<void(absl::Status)> done)
      : deliveries_(deliveries),
        grant_(call->grant()),
        peer_(call->peer_address()),
        call_(call),
        done_(std::move(done)) {}

  // On the strand.
  void Read();
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void Take(v1::Event event);
  void Check(const v1::Check& check);
  // Whether a new transaction may begin; else it is refused. Those that have begun
  // go on: what they were promised holds.
  bool MayBegin(uint64_t number);
  void AbandonAll();
  void Pump();  // Writes, reads or finishes, whatever is due.

  mail::Deliveries* const deliveries_;
  access::Grant grant_;
  const std::string peer_;
  Strand strand_;

  Call* call_;  // Null once the stream is finished.
  absl::AnyInvocable<void(absl::Status)> done_;
  bool reading_ = false;
  bool reads_ended_ = false;
  bool writing_ = false;
  bool gone_ = false;    // The caller.
  absl::Status end_;     // Not OK: the stream is to end with it.
  size_t checking_ = 0;  // Checks without an answer.
  v1::DeliverRequest request_;
  v1::DeliverResponse gathered_;

  SeenNumbers seen_;
  absl::flat_hash_map<uint64_t, std::shared_ptr<mail::Transaction>> live_;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_DELIVER_STREAM_H_
