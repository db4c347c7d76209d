// One `Deliver` stream: reads events, hands each to its transaction, and writes
// the answers that have gathered since the last write in one message.
#ifndef RESTANTE_SERVER_RPC_DELIVER_STREAM_H_
#define RESTANTE_SERVER_RPC_DELIVER_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "restante/v1/delivery.pb.h"
#include "server/base/strand.h"
#include "server/mail/deliveries.h"
#include "server/mail/transaction.h"

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
  using Reactor = grpc::ServerBidiReactor<v1::DeliverRequest, v1::DeliverResponse>;

  // Makes the reactor of a new stream; it deletes itself.
  static Reactor* Start(mail::Deliveries* deliveries, std::string caller, std::string peer);

  void Post(absl::AnyInvocable<void()> fn) override { strand_.Post(std::move(fn)); }
  void Send(v1::Answer answer) override;
  void Ended(uint64_t number) override;
  void OutcomeUnknown(absl::Status why) override;

 private:
  class Bridge;  // The reactor.

  DeliverStream(mail::Deliveries* deliveries, std::string caller, std::string peer, Bridge* bridge)
      : deliveries_(deliveries), caller_(std::move(caller)), peer_(std::move(peer)), bridge_(bridge) {}

  // On the strand.
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnCancelled();
  void Take(v1::Event event);
  void AbandonAll();
  void Pump();  // Writes, reads or finishes, whatever is due.

  mail::Deliveries* const deliveries_;
  const std::string caller_;
  const std::string peer_;
  Strand strand_;

  Bridge* bridge_;  // Null once the stream is finished.
  bool reading_ = true;
  bool reads_ended_ = false;
  bool writing_ = false;
  bool cancelled_ = false;
  grpc::Status end_;  // Not OK: the stream is to end with it.
  v1::DeliverRequest request_;
  v1::DeliverResponse gathered_, written_;

  SeenNumbers seen_;
  absl::flat_hash_map<uint64_t, std::shared_ptr<mail::Transaction>> live_;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_DELIVER_STREAM_H_
