#include "tests/model/world.h"

#include <cstdlib>

#include "server/base/status_macros.h"
#include "server/mail/verify.h"

namespace restante::model {

World::World(Which which, OpenEngine open_engine, mail::DeliveryOptions options, const Clock* clock)
    : which_(which), open_engine_(std::move(open_engine)), options_(std::move(options)), clock_(clock) {}

absl::Status World::Open() {
  ASSIGN_OR_RETURN(engine_, open_engine_());
  provisioning_ = std::make_unique<mail::Provisioning>(engine_.get(), options_.rules, clock_);
  directory_ = std::make_unique<mail::Directory>(engine_.get(), mail::Directory::Options());
  deliveries_ = std::make_unique<mail::Deliveries>(engine_.get(), directory_.get(), options_, clock_);
  messages_ = std::make_unique<mail::Messages>(engine_.get(), options_.max_message, clock_);
  return embedded::Await<absl::Status>(
      [&](auto done) { provisioning_->RecoverInterrupted(std::move(done)); });
}

void World::Close() {
  if (!is_open()) return;
  // The last word of a transaction may still be under way on a thread of the engine.
  if (!deliveries_->AwaitIdle(int64_t{120} * 1'000'000)) std::abort();
  messages_.reset();
  deliveries_.reset();
  directory_.reset();
  provisioning_.reset();
  engine_.reset();
}

std::vector<std::string> World::Problems() {
  std::vector<std::string> problems;
  const absl::Status status = Get(mail::Verify(engine_.get(), [&](mail::VerifyProgress progress) {
    for (std::string& problem : progress.problems) problems.push_back(std::move(problem));
    return true;
  }));
  if (!status.ok()) problems.push_back(status.ToString());
  return problems;
}

}  // namespace restante::model
