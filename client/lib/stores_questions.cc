// What any store can answer: asked of one after another, until one does.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/lib/stores.h"

namespace restante::client_internal {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long one of several stores may take to say what became of a Commit that it may
// be still at work on; then another is asked as well.
constexpr milliseconds kReceiptPatience{5'000};

// Whether asking again can help. What is not known to be hopeless can.
bool WorthRetrying(const absl::Status& status) {
  return !absl::IsInvalidArgument(status) && !absl::IsUnimplemented(status);
}

// Whether another store might answer where this one did not.
bool WorthAskingAnother(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

}  // namespace

Stores::ConnectionPtr Stores::Next(const std::vector<ConnectionPtr>& order,
                                   const std::vector<ConnectionPtr>& asked) {
  for (const ConnectionPtr& connection : order) {
    const bool again = std::find(asked.begin(), asked.end(), connection) != asked.end();
    // With all of them away one of them says so.
    if (!again && (asked.empty() || connection->condition() != Condition::kAway)) return connection;
  }
  return nullptr;
}

// --- what became of a Commit --------------------------------------------------------

struct Stores::Settling {
  v1::GetReceiptRequest request;
  Time end;
  milliseconds backoff;
  Done<v1::GetReceiptResponse> done;
  // Since the last pause.
  std::vector<ConnectionPtr> asked;
};

void Stores::Settle(v1::GetReceiptRequest request, milliseconds patience, Done<v1::GetReceiptResponse> done) {
  auto settling = std::make_shared<Settling>();
  settling->request = std::move(request);
  settling->end = steady_clock::now() + patience;
  settling->backoff = options_.min_backoff;
  settling->done = std::move(done);
  AskReceipt(std::move(settling));
}

void Stores::AskReceipt(std::shared_ptr<Settling> settling) {
  const v1::GetReceiptRequest& request = settling->request;
  const std::vector<ConnectionPtr> order =
      Order(request.mailboxes().empty() ? "" : request.mailboxes(0), request.request_id());
  const ConnectionPtr connection = Next(order, settling->asked);
  if (connection == nullptr)
    return OnReceipt(std::move(settling), absl::UnavailableError("no store is there"));
  settling->asked.push_back(connection);
  // A single store is waited for.
  const bool alone = order.size() == 1;
  const milliseconds left = duration_cast<milliseconds>(settling->end - steady_clock::now());
  const milliseconds most = alone ? options_.deadline : std::min(options_.deadline, kReceiptPatience);
  connection->GetReceipt(
      request, std::max(milliseconds(1), std::min(left, most)), /*wait=*/alone,
      [self = shared_from_this(), settling](absl::StatusOr<v1::GetReceiptResponse> receipt) {
        self->OnReceipt(settling, std::move(receipt));
      });
}

void Stores::OnReceipt(std::shared_ptr<Settling> settling, absl::StatusOr<v1::GetReceiptResponse> result) {
  const Time now = steady_clock::now();
  if (result.ok() || !WorthRetrying(result.status())) {
    // That is the answer.
  } else if (now < settling->end && Next(Order(""), settling->asked) != nullptr) {
    return AskReceipt(std::move(settling));
  } else if (now + settling->backoff < settling->end) {
    settling->asked.clear();
    timer_->At(now + settling->backoff, [weak = weak_from_this(), settling] {
      if (const std::shared_ptr<Stores> self = weak.lock()) self->AskReceipt(settling);
    });
    settling->backoff = std::min(settling->backoff * 2, options_.max_backoff);
    return;
  } else {
    result = absl::DeadlineExceededError(
        absl::StrCat(options_.target, ": the outcome is still unknown: ", result.status().message()));
  }
  handlers_->Post([settling, result = std::move(result)]() mutable { settling->done(std::move(result)); });
}

// --- what a recipient would be answered -----------------------------------------------

struct Stores::Checking {
  v1::CheckRecipientRequest request;
  Time end;
  // How long one of several stores may take before the next is asked.
  milliseconds turn;
  Done<v1::CheckRecipientResponse> done;
  std::vector<ConnectionPtr> asked;
};

void Stores::CheckRecipient(v1::CheckRecipientRequest request, milliseconds patience,
                            Done<v1::CheckRecipientResponse> done) {
  auto checking = std::make_shared<Checking>();
  checking->request = std::move(request);
  checking->end = steady_clock::now() + patience;
  checking->turn = options_.store_patience;
  checking->done = std::move(done);
  AskCheck(std::move(checking), absl::UnavailableError("no store is there"));
}

// `why`: what the one that was asked before said.
void Stores::AskCheck(std::shared_ptr<Checking> checking, absl::Status why) {
  const std::vector<ConnectionPtr> order = Order(checking->request.address());
  const milliseconds left = duration_cast<milliseconds>(checking->end - steady_clock::now());
  ConnectionPtr connection = Next(order, checking->asked);
  if (connection == nullptr && absl::IsDeadlineExceeded(why) && left > milliseconds(0)) {
    // They may all be slow.
    checking->asked.clear();
    checking->turn *= 2;
    connection = Next(order, checking->asked);
  }
  if (connection == nullptr || (left <= milliseconds(0) && !checking->asked.empty())) {
    return handlers_->Post([checking, why = std::move(why)]() mutable { checking->done(std::move(why)); });
  }
  checking->asked.push_back(connection);
  const milliseconds deadline = order.size() == 1 ? left : std::min(left, checking->turn);
  connection->CheckRecipient(
      std::shared_ptr<const v1::CheckRecipientRequest>(checking, &checking->request), deadline,
      [self = shared_from_this(), checking](absl::StatusOr<v1::Decision> result) mutable {
        if (WorthAskingAnother(result.status())) return self->AskCheck(std::move(checking), result.status());
        if (!result.ok()) return checking->done(result.status());
        v1::CheckRecipientResponse response;
        *response.mutable_decision() = *std::move(result);
        checking->done(std::move(response));
      });
}

}  // namespace restante::client_internal
