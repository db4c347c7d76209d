// The store for callers with a thread to wait with: every call blocks.
//
// DeliverMessage delivers a message that is at hand. Client makes the other
// services' calls. Errors carry what the store said about them: restante/errors.h.
#ifndef RESTANTE_CLIENT_CLIENT_H_
#define RESTANTE_CLIENT_CLIENT_H_

#include <chrono>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/empty.pb.h"
#include "restante/delivery.h"
#include "restante/v1/mailbox.pb.h"
#include "restante/v1/message.pb.h"
#include "restante/v1/store.pb.h"

namespace restante {

// What else Begin and Recipient can say (DSN, for one) goes by restante/delivery.h.
struct Envelope {
  // Reverse path without angle brackets; empty: the null reverse path.
  std::string sender;
  std::vector<std::string> recipients;
  v1::Begin::Mode mode = v1::Begin::ALL_OR_NONE;
};

// What became of a message. A refusal is a result, not an error.
struct DeliveryResult {
  // Stored for at least one recipient.
  bool committed = false;
  // One for each recipient, in order; fewer if the whole message was refused
  // before.
  std::vector<v1::Decision> decisions;
  // One for each accepted recipient, in order.
  std::vector<v1::Receipt> receipts;
  // Why the whole message was refused, if it was.
  std::optional<v1::Refused> refused;
  std::string transaction_id;
};

struct DeliverOptions {
  // How long an outcome that was lost on its way is asked for.
  std::chrono::milliseconds settle_patience{60'000};
};

// Delivers one message: CRLF line ends, no dot-stuffing. An unknown outcome is
// settled before it returns. Without an accepted recipient nothing is sent.
// `client` must have the default executor, or one that another thread runs.
//
// kUnavailable (of several stores each has been tried), kDeadlineExceeded before
// Commit: nothing was stored, try again.
// kUnknown: the outcome could not be settled in time; trying again may store the
// message twice. kInvalidArgument: no recipients.
absl::StatusOr<DeliveryResult> DeliverMessage(DeliveryClient& client, const Envelope& envelope,
                                              absl::string_view message, const DeliverOptions& options = {});
// The same with a text of unknown size, read piece by piece. kDataLoss when
// reading it fails; nothing is stored then.
absl::StatusOr<DeliveryResult> DeliverMessage(DeliveryClient& client, const Envelope& envelope,
                                              std::istream& message, const DeliverOptions& options = {});

// The calls of MailboxService, MessageService, StoreService and the unary ones
// of DeliveryService. Any number of threads may call. A call ends within
// `options.deadline` (streams of data: when nothing came for so long); nothing is
// repeated. Of several stores in a list all calls go to the first that is there, until
// one is not answered.
class Client {
 public:
  explicit Client(const ClientOptions& options);
  ~Client();

  absl::StatusOr<v1::Domain> CreateDomain(const v1::CreateDomainRequest& request);
  absl::StatusOr<v1::Domain> GetDomain(const v1::GetDomainRequest& request);
  absl::StatusOr<v1::ListDomainsResponse> ListDomains(const v1::ListDomainsRequest& request);
  absl::StatusOr<v1::Domain> UpdateDomain(const v1::UpdateDomainRequest& request);
  absl::Status DeleteDomain(const v1::DeleteDomainRequest& request);

  absl::StatusOr<v1::Mailbox> CreateMailbox(const v1::CreateMailboxRequest& request);
  absl::StatusOr<v1::Mailbox> GetMailbox(const v1::GetMailboxRequest& request);
  absl::StatusOr<v1::ListMailboxesResponse> ListMailboxes(const v1::ListMailboxesRequest& request);
  absl::StatusOr<v1::Mailbox> UpdateMailbox(const v1::UpdateMailboxRequest& request);
  absl::Status DeleteMailbox(const v1::DeleteMailboxRequest& request);
  absl::StatusOr<v1::Mailbox> RenameMailbox(const v1::RenameMailboxRequest& request);
  absl::StatusOr<v1::RecalculateUsageResponse> RecalculateUsage(const v1::RecalculateUsageRequest& request);

  absl::StatusOr<v1::Alias> CreateAlias(const v1::CreateAliasRequest& request);
  absl::StatusOr<v1::Alias> GetAlias(const v1::GetAliasRequest& request);
  absl::StatusOr<v1::ListAliasesResponse> ListAliases(const v1::ListAliasesRequest& request);
  absl::StatusOr<v1::Alias> UpdateAlias(const v1::UpdateAliasRequest& request);
  absl::Status DeleteAlias(const v1::DeleteAliasRequest& request);

  absl::StatusOr<v1::ListMessagesResponse> ListMessages(const v1::ListMessagesRequest& request);
  absl::StatusOr<v1::Message> GetMessage(const v1::GetMessageRequest& request);
  // Gives the text to `sink` piece by piece; an error of `sink` ends it and is
  // the result. What `sink` has seen before an error is not the whole text.
  absl::Status ReadMessage(const v1::ReadMessageRequest& request,
                           const std::function<absl::Status(absl::string_view)>& sink);
  absl::StatusOr<v1::Message> AppendMessage(const v1::AppendMessageRequest::Header& header,
                                            absl::string_view message);
  absl::Status DeleteMessage(const v1::DeleteMessageRequest& request);
  absl::StatusOr<v1::BatchDeleteMessagesResponse> BatchDeleteMessages(
      const v1::BatchDeleteMessagesRequest& request);

  absl::StatusOr<v1::StoreStatus> GetStatus(const v1::GetStatusRequest& request);
  // Long work: calls `progress` with each response, the last of which has `done`.
  // kDataLoss: the store ended it without. What was found is no error.
  absl::Status Verify(const v1::VerifyRequest& request,
                      const std::function<void(const v1::VerifyResponse&)>& progress);
  absl::Status Scrub(const v1::ScrubRequest& request,
                     const std::function<void(const v1::ScrubResponse&)>& progress);
  absl::Status Compact(const v1::CompactRequest& request,
                       const std::function<void(const v1::CompactResponse&)>& progress);
  absl::Status Backup(const v1::BackupRequest& request,
                      const std::function<void(const v1::BackupResponse&)>& progress);
  absl::Status Settle(const v1::SettleRequest& request,
                      const std::function<void(const v1::SettleResponse&)>& progress);
  absl::Status Sweep(const v1::SweepRequest& request,
                     const std::function<void(const v1::SweepResponse&)>& progress);
  // Follows the events until `sink` returns false (OK), or something ends it; waits for
  // the next one for as long as it takes.
  absl::Status WatchEvents(const v1::WatchEventsRequest& request,
                           const std::function<bool(const v1::WatchEventsResponse&)>& sink);

  absl::StatusOr<v1::GetReceiptResponse> GetReceipt(const v1::GetReceiptRequest& request);
  absl::StatusOr<v1::CheckRecipientResponse> CheckRecipient(const v1::CheckRecipientRequest& request);
  absl::StatusOr<v1::Capacity> GetCapacity(const v1::GetCapacityRequest& request);

 private:
  struct Stubs;
  const std::unique_ptr<Stubs> stubs_;
};

}  // namespace restante

#endif  // RESTANTE_CLIENT_CLIENT_H_
