// The protocol machine without a socket, as a target of dialogues.
#ifndef RESTANTE_TESTS_SMTP_MACHINE_H_
#define RESTANTE_TESTS_SMTP_MACHINE_H_

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/smtp/session.h"
#include "server/base/fake_clock.h"
#include "tests/smtp/dialogue.h"
#include "tests/smtp/fake_store.h"

namespace restante::smtp {

class Machine : public DialogueTarget {
 public:
  // Splits what the client sends at these octets of its whole side; or, with
  // `piece`, into pieces of that many octets. The client of LMTP is `trusted` always.
  explicit Machine(SessionOptions options, std::vector<size_t> splits = {}, size_t piece = 0,
                   bool trusted = false, const std::string& client = "192.0.2.7")
      : options_(std::move(options)), splits_(std::move(splits)), piece_(piece) {
    host_.store = &store_;
    host_.clock = &clock_;
    host_.new_request_id = [this] { return absl::StrCat("request-", 10000000 + ++ids_); };
    host_.on_transaction = [this](const TransactionRecord& record) { records_.push_back(record); };
    session_ = std::make_unique<Session>(&options_, &host_, [this] { ++answers_; });
    session_->Start({.address = client, .trusted = trusted || options_.protocol == Protocol::kLmtp});
  }

  void Send(const std::string& octets) override {
    for (const char c : octets) {
      const bool split = piece_ > 0 ? sent_ % piece_ == 0
                                    : std::find(splits_.begin(), splits_.end(), sent_) != splits_.end();
      if (waiting_.empty() || split || last_was_send_ == false) waiting_.emplace_back();
      last_was_send_ = true;
      waiting_.back().push_back(c);
      ++sent_;
    }
    last_was_send_ = false;
    Run();
  }

  // Feeds and answers until nothing moves.
  void Run() {
    while (true) {
      store_.Drain();
      size_t unread = 0;
      for (const std::string& piece : waiting_) unread += piece.size();
      session_->Written(unread, end_of_input_);
      if (waiting_.empty() && end_of_input_ && !std::exchange(end_told_, true)) {
        // Behind all that was sent, as a FIN is.
        session_->EndOfInput(acknowledges_);
        continue;
      }
      if (!session_->wants_input() || waiting_.empty()) return;
      const std::string piece = std::move(waiting_.front());
      waiting_.pop_front();
      session_->Input(piece);
    }
  }

  absl::Status Event(const std::string& name) override {
    if (name == "eof") {
      end_of_input_ = true;
    } else if (name == "idle") {
      session_->IdleTimeout();
    } else if (name == "tls") {
      if (!session_->wants_tls()) return absl::FailedPreconditionError("no TLS is waited for");
      session_->TlsBegun("TLSv1.3 TLS_AES_256_GCM_SHA384");
    } else if (name == "shutdown") {
      session_->Shutdown(false);
    } else if (name == "shutdown-now") {
      session_->Shutdown(true);
    } else {
      return absl::InvalidArgumentError(absl::StrCat("unknown event `", name, "`"));
    }
    Run();
    return absl::OkStatus();
  }

  absl::Status Store(const std::string& knob) override {
    absl::Status status = ApplyStoreKnob(knob, &store_);
    Run();
    return status;
  }

  absl::StatusOr<std::string> ReadLine() override {
    std::string& output = session_->output();
    const size_t end = output.find("\r\n");
    if (end == std::string::npos) return absl::FailedPreconditionError("no reply");
    std::string line = output.substr(0, end);
    output.erase(0, end + 2);
    if (line.size() + 2 > 512) return absl::FailedPreconditionError("the reply is longer than 512 octets");
    return line;
  }

  absl::Status NothingMore() override {
    if (session_->output().empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("unexpected reply: ", session_->output()));
  }

  absl::Status Closed() override {
    if (session_->closed()) return absl::OkStatus();
    return absl::FailedPreconditionError("not closed");
  }

  bool Turn() override { return false; }
  FakeStore& store() override { return store_; }
  std::vector<TransactionRecord>& records() override { return records_; }
  Session& session() { return *session_; }
  FakeClock& clock() { return clock_; }
  // Whether the client has got what was written when it ends.
  void set_acknowledges(bool acknowledges) { acknowledges_ = acknowledges; }
  void Disconnect() { session_.reset(); }
  // Everything that is out, taken.
  std::string Output() { return std::exchange(session_->output(), {}); }

 private:
  SessionOptions options_;
  std::vector<size_t> splits_;
  size_t piece_;
  FakeStore store_;
  FakeClock clock_;
  SessionHost host_;
  std::vector<TransactionRecord> records_;
  int ids_ = 0;
  int answers_ = 0;
  std::deque<std::string> waiting_;
  bool last_was_send_ = false;
  bool end_of_input_ = false;
  bool end_told_ = false;
  bool acknowledges_ = true;
  size_t sent_ = 0;
  std::unique_ptr<Session> session_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_TESTS_SMTP_MACHINE_H_
