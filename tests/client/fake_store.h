// A DeliveryService with knobs, in this process, on a port of its own.
//
// It grants every recipient and stores nothing. What is to go wrong is said by
// the transaction itself, in the local part of its reverse path, so that
// transactions which go well and badly can share a stream:
//
//     silent@          Begin gets no answer
//     refuse@          Begin is refused: OUTCOME_DISK_FULL
//     lost-at-begin@   the stream breaks when Begin is read
//     lost-before@     it breaks when Commit is read, and nothing is committed
//     lost-after@      it breaks after Commit, which is committed
//     nocredit@        no Credit beyond Begun's
// and a recipient `stall@...` gets no Decision. CheckRecipient and Check say that
// `full@...` is full, and nothing of `stall@...` until the call is given up.
#ifndef RESTANTE_TESTS_CLIENT_FAKE_STORE_H_
#define RESTANTE_TESTS_CLIENT_FAKE_STORE_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "restante/v1/delivery.grpc.pb.h"

namespace restante {

class FakeStore : public v1::DeliveryService::Service {
 public:
  static constexpr uint64_t kFirstCredit = 256 * 1024;

  FakeStore();
  ~FakeStore() override;

  // `host:port`; the same over restarts.
  const std::string& target() const { return target_; }
  // Breaks all streams; connections are refused until Start.
  void Stop();
  void Start();

  // --- what it saw, and further knobs ------------------------------------------
  struct Stored {
    std::string sender;
    std::vector<std::string> recipients;
    std::vector<bool> ignore_quota;  // Of each.
    std::string text;
    std::string digest;
    bool crc_matched = false;
  };
  std::map<std::string, Stored> stored();  // By request id.
  std::set<std::string> tombstones();
  // Transaction ids of HandedOver, in the order in which they came.
  std::vector<std::string> handed_over();
  int streams_opened() const;
  int streams_open() const;
  int receipt_calls() const;
  int aborts() const;
  size_t most_events_in_a_request() const;
  size_t largest_request() const;
  // GetReceipt fails with UNAVAILABLE this many times.
  void FailReceipts(int times);
  // GetReceipt fails with this code for good.
  void RefuseReceipts(grpc::StatusCode code);
  // Waits until at least `n` transactions were aborted.
  void AwaitAborts(int n);
  // Waits until no stream is open.
  void AwaitNoStream();
  // Recipients that were asked about by calls of their own, and on streams.
  int lone_checks() const;
  int stream_checks() const;
  // Whether it answers Check, or is too old.
  void SetKnowsCheck(bool knows);
  // Streams are read only while this is on.
  void SetReading(bool reading);

  grpc::Status Deliver(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<v1::DeliverResponse, v1::DeliverRequest>* stream) override;
  grpc::Status GetReceipt(grpc::ServerContext* context, const v1::GetReceiptRequest* request,
                          v1::GetReceiptResponse* response) override;
  grpc::Status CheckRecipient(grpc::ServerContext* context, const v1::CheckRecipientRequest* request,
                              v1::CheckRecipientResponse* response) override;
  grpc::Status GetCapacity(grpc::ServerContext* context, const v1::GetCapacityRequest* request,
                           v1::Capacity* response) override;

 private:
  struct Open {
    std::string id;
    std::string fault;
    Stored message;
    uint64_t ungranted = 0;
    bool over = false;
  };
  v1::Receipts ReceiptsOf(const Stored& stored);
  // False: the stream breaks here.
  static v1::Decision DecisionOn(const v1::CheckRecipientRequest& request);
  bool Apply(const v1::Event& event, std::map<uint64_t, Open>* open, v1::DeliverResponse* out);

  std::unique_ptr<grpc::Server> server_;
  std::string target_;

  mutable absl::Mutex mutex_;
  std::map<std::string, Stored> stored_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> tombstones_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> handed_over_ ABSL_GUARDED_BY(mutex_);
  int streams_opened_ ABSL_GUARDED_BY(mutex_) = 0;
  int streams_open_ ABSL_GUARDED_BY(mutex_) = 0;
  int receipt_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int aborts_ ABSL_GUARDED_BY(mutex_) = 0;
  int lone_checks_ ABSL_GUARDED_BY(mutex_) = 0;
  int stream_checks_ ABSL_GUARDED_BY(mutex_) = 0;
  bool knows_check_ ABSL_GUARDED_BY(mutex_) = true;
  size_t most_events_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t largest_request_ ABSL_GUARDED_BY(mutex_) = 0;
  int fail_receipts_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::StatusCode refuse_receipts_ ABSL_GUARDED_BY(mutex_) = grpc::StatusCode::OK;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_CLIENT_FAKE_STORE_H_
