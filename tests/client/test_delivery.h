// A handler for tests.
#ifndef RESTANTE_TESTS_CLIENT_TEST_DELIVERY_H_
#define RESTANTE_TESTS_CLIENT_TEST_DELIVERY_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "restante/delivery.h"

namespace restante {

// One transaction that notes what it hears and, told so, sends a whole message.
class Delivery : public TransactionHandler {
 public:
  void OnAnswer(const v1::Answer& answer) override {
    EXPECT_FALSE(over()) << "a call after the last: " << answer.ShortDebugString();
    heard.push_back(answer.kind_case());
    if (answer.has_receipts()) receipts = answer.receipts();
    if (answer.has_refused()) refused = answer.refused().outcome();
    if (answer.has_aborted()) aborted = true;
    if (on_answer) on_answer(answer);
    Pump();
  }
  void OnLost(absl::Status why, bool commit_sent) override {
    EXPECT_FALSE(over());
    lost = std::move(why);
    lost_after_commit = commit_sent;
  }
  bool over() const { return receipts || refused || aborted || lost; }

  // Recipients, Data, the text as credit allows, Commit; nothing is waited for
  // but credit.
  void Send(std::vector<std::string> recipients, std::string text) {
    for (std::string& recipient : recipients) t->Recipient(std::move(recipient));
    t->Data();
    rest = std::move(text);
    Pump();
  }
  void Pump() {
    if (!rest || !t) return;
    while (!rest->empty() && t->credit() > 0) {
      size_t n = std::min<size_t>({rest->size(), t->credit(), 100'000});
      t->Chunk(rest->substr(0, n));
      rest->erase(0, n);
    }
    if (rest->empty()) {
      rest.reset();
      t->Commit();
    }
  }

  std::unique_ptr<Transaction> t;
  std::optional<std::string> rest;
  std::vector<v1::Answer::KindCase> heard;
  std::optional<v1::Receipts> receipts;
  std::optional<v1::Outcome> refused;
  bool aborted = false;
  std::optional<absl::Status> lost;
  bool lost_after_commit = false;
  std::function<void(const v1::Answer&)> on_answer;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_CLIENT_TEST_DELIVERY_H_
