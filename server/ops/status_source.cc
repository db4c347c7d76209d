#include "server/ops/status_source.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/units.h"
#include "server/mail/quota.h"

namespace restante::ops {
namespace {

constexpr size_t kFullest = 10;
constexpr absl::Duration kOverviewAge = absl::Seconds(30);

OutcomeCounts CountsOf(const mail::Deliveries::Counters& counters) {
  return {counters.stored, counters.suppressed, counters.refused, counters.aborted};
}

// `900M of 1G, 7 messages`; of two limits the one that is nearer.
std::string UsedText(const mail::MailboxView& mailbox) {
  const stored::v1::MailboxHead& head = mailbox.head.mailbox();
  const auto share = [](uint64_t used, uint64_t limit) {
    return limit == 0 ? 1.0 : static_cast<double>(used) / static_cast<double>(limit);
  };
  const bool bytes = mailbox.effective_bytes < quota::kUnlimited;
  const bool messages = mailbox.effective_messages < quota::kUnlimited;
  if (bytes && (!messages || share(head.used_bytes(), mailbox.effective_bytes) >=
                                 share(head.used_messages(), mailbox.effective_messages))) {
    return absl::StrCat(FormatSize(head.used_bytes()), " of ", FormatSize(mailbox.effective_bytes));
  }
  return absl::StrCat(head.used_messages(), " of ", mailbox.effective_messages, " messages");
}

}  // namespace

StatusSource::StatusSource(engine::Engine* engine, mail::Provisioning* provisioning,
                           const mail::Deliveries* deliveries, const Clock* clock)
    : engine_(engine),
      deliveries_(deliveries),
      clock_(clock),
      start_us_(clock->MonotonicMicros()),
      rates_([deliveries] { return CountsOf(deliveries->counters()); }, clock),
      overview_(provisioning, clock, {.fullest = kFullest, .age = kOverviewAge}) {}

StatusView StatusSource::Read() {
  rates_.Sample();
  StatusView view;
  view.version = RESTANTE_VERSION;
  view.engine = std::string(engine_->name());
  view.uptime_s = (clock_->MonotonicMicros() - start_us_) / 1'000'000;
  view.wall_us = clock_->WallMicros();
  view.stopping = deliveries_->draining();
  view.disk = engine_->GetCapacity();
  view.minutes = rates_.Read();
  view.refusals = deliveries_->refusals().List();
  view.engine_figures = engine_->Figures();
  const auto figure = [&view](const char* name) {
    const auto found = view.engine_figures.find(name);
    return found == view.engine_figures.end() ? 0 : found->second;
  };
  view.open_transactions = figure("open_transactions");
  if (view.disk.read_only) view.problems.push_back("The store is read-only after a write error.");
  if (view.disk.full) view.problems.push_back("The disk is full: no mail is taken.");
  if (figure("index_damaged") != 0) {
    view.problems.push_back("The index is damaged: start with --rebuild-index.");
  }
  if (const auto overview = overview_.Get(); overview.ok()) {
    view.domains = overview->domains;
    view.mailboxes = overview->mailboxes;
    view.messages = overview->used_messages;
    view.mail_bytes = overview->used_bytes;
    for (const mail::MailboxFill& fill : overview->fullest) {
      view.mailboxes_near_limit.push_back(
          {fill.mailbox.head.mailbox().address(), UsedText(fill.mailbox), fill.share});
    }
    for (const mail::DomainFill& fill : overview->fullest_domains) {
      view.domains_near_limit.push_back(
          {fill.domain, absl::StrCat(FormatSize(fill.used_bytes), " of ", FormatSize(fill.max_bytes)),
           fill.share});
    }
    if (overview->domains == 0)
      view.problems.push_back("There is no domain yet: all mail is deferred (451).");
  } else {
    view.problems.push_back(absl::StrCat("The index does not answer: ", overview.status().message()));
  }
  if (const auto scrub = engine_->LastScrub()) {
    view.last_scrub = absl::StrCat(
        "The last scrub ended ",
        absl::FormatTime("%Y-%m-%d %H:%M UTC", absl::FromUnixMicros(scrub->end_us), absl::UTCTimeZone()),
        ": ", FormatSize(scrub->bytes), " read, ", scrub->damages,
        scrub->damages == 1 ? " damage" : " damages", ".");
    if (scrub->damages > 0) {
      view.problems.push_back(absl::StrCat("The last scrub found ", scrub->damages,
                                           scrub->damages == 1 ? " damage" : " damages",
                                           "; `restante status` names the mail."));
    }
  } else {
    view.last_scrub = "Nothing was scrubbed yet.";
  }
  return view;
}

}  // namespace restante::ops
