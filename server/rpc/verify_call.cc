#include "server/rpc/verify_call.h"

#include <utility>

#include "server/mail/verify.h"
#include "server/rpc/progress_call.h"

namespace restante::rpc {
namespace {

// Problems in one response: each is a line of a few hundred octets at most.
constexpr int kMaxProblems = 500;

bool Tell(const Report<v1::VerifyResponse>& report, mail::VerifyProgress progress) {
  v1::VerifyResponse response;
  response.set_checked_mailboxes(progress.checked_mailboxes);
  response.set_total_mailboxes(progress.total_mailboxes);
  response.set_checked_messages(progress.checked_messages);
  response.set_checked_bodies(progress.checked_bodies);
  response.set_repaired_problems(progress.repaired_problems);
  for (std::string& problem : progress.problems) {
    response.add_problems(std::move(problem));
    if (response.problems_size() < kMaxProblems) continue;
    if (!report(response)) return false;
    response.clear_problems();
  }
  return report(std::move(response));
}

Task<absl::StatusOr<v1::VerifyResponse>> Verify(mail::Messages* messages, bool repair,
                                                Report<v1::VerifyResponse> report) {
  uint64_t mailboxes = 0, bytes = 0;
  const auto tell = [&](mail::VerifyProgress progress) {
    mailboxes = progress.drifted_mailboxes;
    bytes = progress.drifted_bytes;
    return Tell(report, std::move(progress));
  };
  CO_RETURN_IF_ERROR(co_await mail::Verify(messages->engine(), tell, repair));
  messages->drift().SetAll(mailboxes, bytes, messages->clock()->WallMicros());
  co_return v1::VerifyResponse();
}

}  // namespace

Task<absl::Status> ServeVerify(mail::Messages* messages, Call& call, const v1::VerifyRequest* request) {
  auto run = ProgressCall<v1::VerifyResponse>::Run(
      call, [messages, repair = request->repair()](Report<v1::VerifyResponse> report) {
        return Verify(messages, repair, std::move(report));
      });
  absl::Status status = co_await run;
  co_return std::move(status);
}

}  // namespace restante::rpc
