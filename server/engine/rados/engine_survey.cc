// What the mailboxes of a domain hold together, and what they hold without need.
//
// A pool that is full is refused on a *survey*: each mailbox is read after the question was
// asked, once. Questions that come while one goes on share the next; so a flood of mail for
// a domain without room costs no more than one survey after another.
#include <algorithm>
#include <utility>

#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

constexpr size_t kWidth = 32;

}  // namespace

Task<absl::StatusOr<std::vector<Member>>> RadosEngine::MembersOf(uint64_t domain) {
  CO_ASSIGN_OR_RETURN(const Rows rows,
                      co_await AllRows(PartitionObject(PartitionId::Domain(domain)), kGrantPrefix));
  std::vector<Member> members;
  for (const auto& [key, value] : rows) {
    const std::optional<uint64_t> number = NumberOfKey(key);
    if (!number) continue;
    Member& member = members.emplace_back();
    member.mailbox = *number;
    member.grant.ParseFromString(value);
  }
  co_return members;
}

Task<absl::StatusOr<DomainSums>> RadosEngine::SumsOf(uint64_t domain) {
  CO_ASSIGN_OR_RETURN(const Survey survey, co_await SurveyNow(domain, /*call_in=*/false, 0));
  co_return survey.sums;
}

Task<absl::StatusOr<Survey>> RadosEngine::SurveyNow(uint64_t domain, bool call_in, uint64_t but) {
  CO_ASSIGN_OR_RETURN(const std::vector<Member> members, co_await MembersOf(domain));
  // Of one mailbox.
  using One = absl::StatusOr<Survey>;
  std::function<Task<std::optional<One>>(size_t)> look = [this, domain, call_in, but, &members](size_t i) {
    return [](RadosEngine* engine, uint64_t of, Member member, bool lowers) -> Task<std::optional<One>> {
      One result = co_await engine->LookAtMember(of, std::move(member), lowers);
      co_return std::optional<One>(std::move(result));
    }(this, domain, members[i], call_in && members[i].mailbox != but);
  };
  const std::vector<std::optional<One>> all =
      co_await Gather<std::optional<One>>(members.size(), kWidth, std::move(look));
  Survey survey;
  DomainSums& sums = survey.sums;
  for (const std::optional<One>& one : all) {
    if (!one->ok()) co_return one->status();
    survey.freed = Add(survey.freed, (*one)->freed);
    const DomainSums& of = (*one)->sums;
    sums.mailboxes += of.mailboxes;
    sums.used_bytes = Add(sums.used_bytes, of.used_bytes);
    sums.used_messages += of.used_messages;
    sums.reserved.bytes = Add(sums.reserved.bytes, of.reserved.bytes);
    sums.reserved.messages += of.reserved.messages;
  }
  co_return survey;
}

Task<absl::StatusOr<Survey>> RadosEngine::LookAtMember(uint64_t domain, Member member, bool lowers) {
  CO_ASSIGN_OR_RETURN(const PartitionState state,
                      co_await StateNow(PartitionId::Mailbox(member.mailbox), {}, nullptr));
  Survey survey;
  if (!state.exists || state.head.mailbox().domain() != domain) co_return survey;
  const stored::MailboxHead& head = state.head.mailbox();
  survey.sums = {.used_bytes = head.used_bytes(),
                 .used_messages = head.used_messages(),
                 .mailboxes = 1,
                 .reserved = {.bytes = state.tail.reserved_bytes(), .messages = state.tail.reservations()}};
  if (!lowers) co_return survey;
  // Whichever of the two knows the later change, it has no more than this.
  const uint64_t most = std::max(state.tail.grant().bytes(), member.grant.bytes());
  if (most > Add(head.used_bytes(), state.tail.reserved_bytes())) {
    CO_ASSIGN_OR_RETURN(survey.freed, co_await CallIn(domain, member.mailbox));
  }
  co_return survey;
}

Task<absl::StatusOr<Survey>> RadosEngine::SurveyPool(uint64_t domain, uint64_t but) {
  Await<absl::StatusOr<Survey>> surveyed([this, domain, but](Done<absl::StatusOr<Survey>> done) {
    {
      absl::MutexLock lock(&mutex_);
      Surveys& surveys = surveys_[domain];
      surveys.waiting.push_back({but, std::move(done)});
      if (std::exchange(surveys.running, true)) return;
    }
    RunAlone(SurveyInTurn(domain));
  });
  co_return co_await surveyed;
}

Task<absl::Status> RadosEngine::SurveyInTurn(uint64_t domain) {
  while (true) {
    std::vector<Surveys::Waiting> asked;
    {
      absl::MutexLock lock(&mutex_);
      const auto it = surveys_.find(domain);
      if (it->second.waiting.empty()) {
        surveys_.erase(it);
        co_return absl::OkStatus();
      }
      asked.swap(it->second.waiting);
    }
    // Its own grant is in nobody's way; but it is in that of another.
    uint64_t but = asked.front().but;
    for (const Surveys::Waiting& one : asked) {
      if (one.but != but) but = 0;
    }
    const absl::StatusOr<Survey> survey = co_await SurveyNow(domain, /*call_in=*/true, but);
    for (Surveys::Waiting& one : asked) std::move(one.done)(survey);
  }
}

}  // namespace restante::rados
