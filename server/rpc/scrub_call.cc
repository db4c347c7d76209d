#include "server/rpc/scrub_call.h"

#include <algorithm>
#include <utility>

#include "server/rpc/progress_call.h"

namespace restante::rpc {
namespace {

// Messages of one damage in one response: a name has a few hundred octets at most.
// What is lost with more is told in parts.
constexpr size_t kMaxMessages = 500;

bool Tell(const Report<v1::ScrubResponse>& report, mail::ScrubProgress progress) {
  v1::ScrubResponse response;
  response.set_checked_bytes(progress.checked_bytes);
  response.set_total_bytes(progress.total_bytes);
  for (mail::NamedDamage& damage : progress.damages) {
    std::vector<std::string> messages = std::exchange(damage.messages, {});
    size_t at = 0;
    do {
      const size_t end = std::min(messages.size(), at + kMaxMessages);
      damage.messages.assign(messages.begin() + static_cast<ptrdiff_t>(at),
                             messages.begin() + static_cast<ptrdiff_t>(end));
      at = end;
      *response.add_damages() = ToApi(damage);
      if (!report(response)) return false;
      response.clear_damages();
    } while (at < messages.size());
  }
  return report(std::move(response));
}

Task<absl::StatusOr<v1::ScrubResponse>> Scrub(engine::Engine* engine, uint64_t bytes_per_second,
                                              Report<v1::ScrubResponse> report) {
  CO_RETURN_IF_ERROR(co_await mail::Scrub(engine, bytes_per_second, [&report](mail::ScrubProgress progress) {
    return Tell(report, std::move(progress));
  }));
  co_return v1::ScrubResponse();
}

}  // namespace

v1::Damage ToApi(mail::NamedDamage damage) {
  v1::Damage out;
  out.set_file(std::move(damage.file));
  out.set_offset(damage.offset);
  out.set_problem(std::move(damage.problem));
  for (std::string& message : damage.messages) out.add_messages(std::move(message));
  return out;
}

Task<absl::Status> ServeScrub(engine::Engine* engine, Call& call, const v1::ScrubRequest* request) {
  auto run = ProgressCall<v1::ScrubResponse>::Run(
      call, [engine, rate = request->max_bytes_per_second()](Report<v1::ScrubResponse> report) {
        return Scrub(engine, rate, std::move(report));
      });
  absl::Status status = co_await run;
  co_return std::move(status);
}

}  // namespace restante::rpc
