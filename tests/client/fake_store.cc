#include "tests/client/fake_store.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/lib/crc32c.h"

namespace restante {

FakeStore::FakeStore() : target_("127.0.0.1:0") { Start(); }

FakeStore::~FakeStore() { Stop(); }

void FakeStore::Start() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(target_, grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) std::abort();
  target_ = absl::StrCat("127.0.0.1:", port);
}

void FakeStore::Stop() {
  if (server_ == nullptr) return;
  SetReading(true);
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_ = nullptr;
}

v1::Receipts FakeStore::ReceiptsOf(const Stored& stored) {
  v1::Receipts receipts;
  receipts.set_committed(true);
  receipts.set_transaction_id("0123456789abcdef0123456789abcdef");
  for (const std::string& recipient : stored.recipients) {
    v1::Receipt* receipt = receipts.add_receipts();
    receipt->set_address(recipient);
    receipt->set_mailbox(absl::StrCat("mailboxes/", recipient));
    receipt->set_outcome(v1::OUTCOME_OK);
    receipt->set_uid(1);
  }
  return receipts;
}

bool FakeStore::Apply(const v1::Event& event, std::map<uint64_t, Open>* open, v1::DeliverResponse* out) {
  auto answer = [&] {
    v1::Answer* a = out->add_answers();
    a->set_transaction(event.transaction());
    return a;
  };
  if (event.has_handed_over()) {
    absl::MutexLock lock(&mutex_);
    handed_over_.push_back(event.handed_over().transaction_id());
    return true;
  }
  if (event.has_check()) {
    absl::MutexLock lock(&mutex_);
    if (!knows_check_) {
      // As for any event without a Begin: once.
      if (!std::exchange((*open)[event.transaction()].over, true)) {
        answer()->mutable_refused()->set_outcome(v1::OUTCOME_INVALID_EVENT);
      }
      return true;
    }
    ++stream_checks_;
    if (absl::StartsWith(event.check().recipient().address(), "stall@")) return true;
    v1::Checked* const checked = answer()->mutable_checked();
    checked->set_number(event.check().number());
    *checked->mutable_decision() = DecisionOn(event.check().recipient());
    return true;
  }
  Open& t = (*open)[event.transaction()];
  switch (event.kind_case()) {
    case v1::Event::kBegin:
      t.id = event.begin().request_id();
      t.message.sender = event.begin().sender();
      t.fault = t.message.sender.substr(0, t.message.sender.find('@'));
      if (t.fault == "lost-at-begin") return false;
      if (t.fault == "silent") return true;
      if (t.fault == "refuse") {
        t.over = true;
        answer()->mutable_refused()->set_outcome(v1::OUTCOME_DISK_FULL);
        return true;
      }
      answer()->mutable_begun()->set_credit(kFirstCredit);
      return true;
    case v1::Event::kRecipient: {
      if (t.over || absl::StartsWith(event.recipient().address(), "stall@")) return true;
      t.message.recipients.push_back(event.recipient().address());
      t.message.ignore_quota.push_back(event.recipient().ignore_quota());
      v1::Decision* decision = answer()->mutable_decision();
      decision->set_address(event.recipient().address());
      decision->set_mailbox(absl::StrCat("mailboxes/", event.recipient().address()));
      decision->set_outcome(v1::OUTCOME_OK);
      return true;
    }
    case v1::Event::kData:
      if (!t.over) answer()->mutable_ready();
      return true;
    case v1::Event::kChunk:
      t.message.text += event.chunk();
      t.ungranted += event.chunk().size();
      if (t.ungranted >= kFirstCredit / 2 && t.fault != "nocredit") {
        answer()->mutable_credit()->set_bytes(t.ungranted);
        t.ungranted = 0;
      }
      return true;
    case v1::Event::kCommit: {
      if (t.over || t.fault == "lost-before") return t.over;
      t.over = true;
      t.message.digest = event.commit().digest();
      t.message.crc_matched = event.commit().size() == t.message.text.size() &&
                              event.commit().crc32c() == client_internal::ExtendCrc32c(0, t.message.text);
      absl::MutexLock lock(&mutex_);
      if (tombstones_.contains(t.id)) {
        answer()->mutable_refused()->set_outcome(v1::OUTCOME_REQUEST_ID_ABORTED);
        return true;
      }
      stored_[t.id] = t.message;
      if (t.fault == "lost-after") return false;
      *answer()->mutable_receipts() = ReceiptsOf(t.message);
      return true;
    }
    case v1::Event::kAbort: {
      answer()->mutable_aborted();
      t.over = true;
      absl::MutexLock lock(&mutex_);
      ++aborts_;
      return true;
    }
    case v1::Event::kHandedOver:
    case v1::Event::kCheck:
    case v1::Event::KIND_NOT_SET:
      return true;
  }
  return true;
}

grpc::Status FakeStore::Deliver(grpc::ServerContext*,
                                grpc::ServerReaderWriter<v1::DeliverResponse, v1::DeliverRequest>* stream) {
  {
    absl::MutexLock lock(&mutex_);
    ++streams_opened_;
    ++streams_open_;
  }
  std::map<uint64_t, Open> open;
  v1::DeliverRequest request;
  bool whole = true;
  while (whole) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&reading_));
    }
    if (!stream->Read(&request)) break;
    {
      absl::MutexLock lock(&mutex_);
      most_events_ = std::max<size_t>(most_events_, request.events_size());
      largest_request_ = std::max(largest_request_, request.ByteSizeLong());
    }
    v1::DeliverResponse response;
    for (const v1::Event& event : request.events()) {
      if (!(whole = Apply(event, &open, &response))) break;
    }
    if (response.answers_size() > 0) stream->Write(response);
  }
  absl::MutexLock lock(&mutex_);
  --streams_open_;
  return whole ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAVAILABLE, "broken by the test");
}

grpc::Status FakeStore::GetReceipt(grpc::ServerContext*, const v1::GetReceiptRequest* request,
                                   v1::GetReceiptResponse* response) {
  absl::MutexLock lock(&mutex_);
  ++receipt_calls_;
  if (refuse_receipts_ != grpc::StatusCode::OK) return grpc::Status(refuse_receipts_, "refused by the test");
  if (fail_receipts_ > 0) {
    --fail_receipts_;
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
  }
  auto found = stored_.find(request->request_id());
  if (found == stored_.end()) {
    tombstones_.insert(request->request_id());
    return grpc::Status::OK;
  }
  response->set_committed(true);
  *response->mutable_receipts() = ReceiptsOf(found->second);
  return grpc::Status::OK;
}

grpc::Status FakeStore::CheckRecipient(grpc::ServerContext* context, const v1::CheckRecipientRequest* request,
                                       v1::CheckRecipientResponse* response) {
  while (absl::StartsWith(request->address(), "stall@") && !context->IsCancelled()) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  *response->mutable_decision() = DecisionOn(*request);
  absl::MutexLock lock(&mutex_);
  ++lone_checks_;
  return grpc::Status::OK;
}

v1::Decision FakeStore::DecisionOn(const v1::CheckRecipientRequest& request) {
  v1::Decision decision;
  decision.set_address(request.address());
  decision.set_outcome(absl::StartsWith(request.address(), "full@") ? v1::OUTCOME_MAILBOX_FULL
                                                                    : v1::OUTCOME_OK);
  return decision;
}

grpc::Status FakeStore::GetCapacity(grpc::ServerContext*, const v1::GetCapacityRequest*,
                                    v1::Capacity* response) {
  response->set_max_message_bytes(50 << 20);
  return grpc::Status::OK;
}

std::map<std::string, FakeStore::Stored> FakeStore::stored() {
  absl::MutexLock lock(&mutex_);
  return stored_;
}
std::set<std::string> FakeStore::tombstones() {
  absl::MutexLock lock(&mutex_);
  return tombstones_;
}
std::vector<std::string> FakeStore::handed_over() {
  absl::MutexLock lock(&mutex_);
  return handed_over_;
}
int FakeStore::streams_opened() const {
  absl::MutexLock lock(&mutex_);
  return streams_opened_;
}
int FakeStore::lone_checks() const {
  absl::MutexLock lock(&mutex_);
  return lone_checks_;
}
int FakeStore::stream_checks() const {
  absl::MutexLock lock(&mutex_);
  return stream_checks_;
}
void FakeStore::SetKnowsCheck(bool knows) {
  absl::MutexLock lock(&mutex_);
  knows_check_ = knows;
}
int FakeStore::streams_open() const {
  absl::MutexLock lock(&mutex_);
  return streams_open_;
}
int FakeStore::receipt_calls() const {
  absl::MutexLock lock(&mutex_);
  return receipt_calls_;
}
int FakeStore::aborts() const {
  absl::MutexLock lock(&mutex_);
  return aborts_;
}
size_t FakeStore::most_events_in_a_request() const {
  absl::MutexLock lock(&mutex_);
  return most_events_;
}
size_t FakeStore::largest_request() const {
  absl::MutexLock lock(&mutex_);
  return largest_request_;
}
void FakeStore::FailReceipts(int times) {
  absl::MutexLock lock(&mutex_);
  fail_receipts_ = times;
}
void FakeStore::RefuseReceipts(grpc::StatusCode code) {
  absl::MutexLock lock(&mutex_);
  refuse_receipts_ = code;
}
void FakeStore::SetReading(bool reading) {
  absl::MutexLock lock(&mutex_);
  reading_ = reading;
}
void FakeStore::AwaitAborts(int n) {
  absl::MutexLock lock(&mutex_);
  auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return aborts_ >= n; };
  mutex_.Await(absl::Condition(&enough));
}
void FakeStore::AwaitNoStream() {
  absl::MutexLock lock(&mutex_);
  auto none = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return streams_open_ == 0; };
  mutex_.Await(absl::Condition(&none));
}

}  // namespace restante
