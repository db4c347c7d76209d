#include "tests/model/model.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/fake_clock.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/memory/memory_engine.h"
#include "tests/model/client.h"
#include "tests/model/describe.h"
#include "tests/model/judge.h"
#include "tests/model/shared_mailboxes.h"
#include "tests/model/world.h"

namespace restante::model {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kDay = int64_t{24} * 3600 * kSecond;

mail::DeliveryOptions Rules() {
  mail::DeliveryOptions options;
  options.max_message = 5'000'000;
  options.max_recipients = 100;
  options.reserve_unknown = 10'000;
  options.reserve_per_client = 300'000;
  options.rules.default_bytes.set_kind(mail::stored::Limit::VALUE);
  options.rules.default_bytes.set_value(200'000);
  options.rules.grace_bytes = 1'000;
  options.rules.deliveries_per_mailbox = 2;
  return options;
}

// No open receipt grows too old: the embedded engine loses some store time at each
// start, and the two would not agree when.
constexpr uint64_t kRetryWindowSeconds = uint64_t{1} << 40;
// Nor any event.
constexpr uint64_t kEventRetentionSeconds = uint64_t{1} << 40;

// Everything in it is so small that all of it moves.
embedded::Options SmallEngine(const std::string& directory, const mail::DeliveryOptions& rules,
                              const Clock* clock, Judge* judge) {
  embedded::Options options;
  options.data_dir = directory;
  options.create = true;
  options.rules = rules.rules;
  options.clock = clock;
  options.disk_reserve = 0;
  options.ballast = 0;
  options.body_memory = 200'000;
  options.segment_bytes = 64 * 1024;
  options.checkpoint_bytes = 128 * 1024;
  options.maintenance_interval = absl::Milliseconds(5);
  options.retry_window_seconds = kRetryWindowSeconds;
  options.event_retention_seconds = kEventRetentionSeconds;
  options.max_events = UINT64_MAX;
  options.log = [judge](LogLevel level, const std::string& text) {
    if (level == LogLevel::kError) judge->Fail(absl::StrCat("the embedded engine says: ", text));
    judge->Saw("embedded warnings");
  };
  return options;
}

class Model {
 public:
  explicit Model(const ModelOptions& options);
  ModelReport Run();

 private:
  void Round(bool crowd);
  void CompareEverything();
  void PassTime();
  void Verify();
  void Reopen();
  void GatherFigures();

  const ModelOptions options_;
  const mail::DeliveryOptions rules_ = Rules();
  embedded::Directory directory_;
  FakeClock clock_;
  Judge judge_;
  Dice dice_;
  std::unique_ptr<World> embedded_, memory_;
  std::unique_ptr<SharedMailboxes> shared_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<std::string, uint64_t> figures_;
};

Model::Model(const ModelOptions& options) : options_(options), dice_(options.seed) {
  const auto open_embedded = [this]() -> absl::StatusOr<std::shared_ptr<engine::Engine>> {
    ASSIGN_OR_RETURN(std::unique_ptr<engine::Engine> opened,
                     options_.open
                         ? options_.open({.rules = rules_.rules,
                                          .clock = &clock_,
                                          .retry_window_seconds = kRetryWindowSeconds,
                                          .event_retention_seconds = kEventRetentionSeconds})
                         : embedded::Open(SmallEngine(directory_.path.string(), rules_, &clock_, &judge_)));
    if (options_.wrap) opened = options_.wrap(std::move(opened));
    return opened;
  };
  embedded_ = std::make_unique<World>(kEmbedded, open_embedded, rules_, &clock_);
  std::shared_ptr<engine::Engine> kept =
      engine::NewMemoryEngine({.rules = rules_.rules,
                               .clock = &clock_,
                               .retry_window_seconds = kRetryWindowSeconds,
                               .event_retention_seconds = kEventRetentionSeconds});
  memory_ = std::make_unique<World>(
      kMemory, [kept]() -> absl::StatusOr<std::shared_ptr<engine::Engine>> { return kept; }, rules_, &clock_);
  for (World* world : {embedded_.get(), memory_.get()}) {
    const absl::Status opened = world->Open();
    if (!opened.ok()) judge_.Fail(opened.ToString());
    if (!opened.ok()) return;
    // So that the store is set up, whatever the clients do.
    const auto made = Get(world->provisioning().CreateDomain("always.example", {}, ""));
    if (!made.ok()) judge_.Fail(made.status().ToString());
  }
  const Worlds worlds{embedded_.get(), memory_.get(), options_.open != nullptr};
  shared_ = std::make_unique<SharedMailboxes>(worlds, rules_.rules.grace_bytes, &judge_);
  if (const absl::Status made = shared_->Make(); !made.ok()) judge_.Fail(made.ToString());
  for (int i = 0; i < options_.clients; ++i) {
    clients_.push_back(std::make_unique<Client>(i, options_.seed, worlds, shared_.get(), &clock_,
                                                rules_.rules.grace_bytes, &judge_));
  }
}

ModelReport Model::Run() {
  for (uint64_t round = 1; judge_.steps() < options_.steps && !judge_.failed(); ++round) {
    Round(round % 4 == 3);
    if (!judge_.failed()) shared_->Compare();
    if (!judge_.failed() && round % 4 == 0) CompareEverything();
    if (!judge_.failed() && round % 8 == 0) Verify();
    if (!judge_.failed()) PassTime();
    if (!judge_.failed() && round % 16 == 0) Reopen();
    if (options_.progress) options_.progress(judge_.steps());
  }
  if (!judge_.failed()) CompareEverything();
  if (!judge_.failed()) Verify();
  if (!judge_.failed()) Reopen();
  for (const auto& client : clients_) client->HangUp();
  if (judge_.failed()) {
    // A lie may have kept open what its client took for ended.
    clock_.Advance(2 * rules_.max_age_us);
    for (World* world : {embedded_.get(), memory_.get()}) {
      if (world->is_open()) world->deliveries().EndOverdue();
    }
  }
  if (embedded_->is_open()) GatherFigures();
  embedded_->Close();
  memory_->Close();
  ModelReport report{.failure = judge_.failure(), .steps = judge_.steps(), .seen = judge_.seen()};
  for (const auto& [name, value] : figures_) report.seen["embedded " + name] = value;
  return report;
}

void Model::Round(bool crowd) {
  std::vector<std::thread> threads;
  for (const auto& client : clients_) {
    threads.emplace_back([&] {
      for (int i = 0; i < options_.steps_a_round && !judge_.failed(); ++i) client->Step(crowd);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void Model::CompareEverything() {
  for (size_t i = 0; i < clients_.size(); ++i) {
    const std::string difference =
        Difference(clients_[i]->Everything(*embedded_), clients_[i]->Everything(*memory_));
    if (!difference.empty()) {
      judge_.Fail(
          absl::StrCat("after step ", judge_.steps(), ": what client", i, " has differs", difference));
    }
  }
}

void Model::Verify() {
  for (World* world : {embedded_.get(), memory_.get()}) {
    const std::vector<std::string> problems = world->Problems();
    if (!problems.empty()) {
      judge_.Fail(absl::StrCat("after step ", judge_.steps(), ": verify of the ", kWhichNames[world->which()],
                               " store says:\n", absl::StrJoin(problems, "\n")));
    }
  }
}

void Model::PassTime() {
  if (dice_.OneIn(4)) {
    const int64_t jump = dice_.OneIn(2) ? kDay : -kDay;
    clock_.SetWall(clock_.WallMicros() + jump);
    judge_.Saw(jump > 0 ? "wall clock set a day forward" : "wall clock set a day back");
  }
  // Below and above: reserve-idle, transaction-idle, transaction-max, a day.
  const std::vector<int64_t> seconds = {0, 1, 15, 31, 200, 599, 601, 3'500, 40'000, 86'401, 300'000};
  const int64_t passed = dice_.OneIn(2) ? dice_.Pick(seconds) : dice_.Below(40);
  clock_.Advance(passed * kSecond);
  embedded_->deliveries().EndOverdue();
  memory_->deliveries().EndOverdue();
  for (const auto& client : clients_) client->Listen();
}

void Model::Reopen() {
  for (const auto& client : clients_) client->HangUp();
  // A group carries the store's time; without one it would be lost with the process.
  for (World* world : {embedded_.get(), memory_.get()}) {
    Get(world->provisioning().UpdateDomain("always.example", {}, "")).IgnoreError();
  }
  GatherFigures();
  for (World* world : {embedded_.get(), memory_.get()}) {
    world->Close();
    const absl::Status opened = world->Open();
    if (!opened.ok()) return judge_.Fail(absl::StrCat("reopening: ", opened.ToString()));
  }
  judge_.Saw("closed and opened");
  shared_->Compare();
  CompareEverything();
}

// What the engine did since it was opened.
void Model::GatherFigures() {
  if (options_.open) return;
  const std::map<std::string, uint64_t> now = embedded_->engine().Figures();
  for (const char* name : {"groups", "commits", "index_checkpoints", "failed_groups", "index_reopened"}) {
    figures_[name] += now.at(name);
  }
  figures_["segments begun"] = now.at("segment");
  figures_["segments removed"] = now.at("segment") - now.at("segments");
  // Now, or at a moment before.
  const auto bodies = std::filesystem::directory_iterator(directory_.path / "bodies");
  figures_["body files"] =
      std::max<uint64_t>(figures_["body files"], std::distance(begin(bodies), end(bodies)));
}

}  // namespace

ModelReport RunModel(const ModelOptions& options) { return Model(options).Run(); }

}  // namespace restante::model
