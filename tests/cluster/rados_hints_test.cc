// Stores that tell each other what they would find out a little later.
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/keys.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

using engine::PartitionId;
using engine::ValueOf;

class RadosHints : public cluster::SharedClusterTest {
 protected:
  RadosHints() : stores_(conf_, namespace_) {
    // By itself no store looks around while a test runs.
    stores_.options.life_interval = absl::Hours(1);
  }
  void OpenBoth() {
    one_ = &stores_.Open();
    other_ = &stores_.Open();
    EXPECT_TRUE(
        Becomes([&] { return !stores_.options.hints || (Watches(*one_) > 0 && Watches(*other_) > 0); }));
    other_->engine().OnEvents([this] { ++told_; });
  }
  static uint64_t Watches(Store& store) { return store.engine().Figures()["hint_watches"]; }

  // An event in one store; how long it takes until the other one is told.
  absl::Duration TellOfOne(uint64_t tx) {
    const uint64_t mailbox = one_->CreateMailbox(0, ValueOf(1000));
    const int before = told_;
    EXPECT_EQ(stores_.Deliver(*one_, tx, 850, {mailbox}), "receipt");
    const absl::Time begun = absl::Now();
    EXPECT_TRUE(Becomes([&] { return told_ > before; })) << "event of transaction " << tx;
    return absl::Now() - begun;
  }
  ~RadosHints() override {
    if (other_ != nullptr) other_->engine().OnEvents(nullptr);
  }

  Stores stores_;
  Store *one_ = nullptr, *other_ = nullptr;
  std::atomic<int> told_ = 0;
};

TEST_F(RadosHints, EventsAreToldToOtherStoresAtOnce) {
  OpenBoth();
  for (uint64_t tx = 1; tx <= 5; ++tx) {
    std::printf("told after %s\n", absl::FormatDuration(TellOfOne(tx)).c_str());
  }
  EXPECT_GT(other_->engine().Figures()["hints_heard"], 0u);
  // Not of what it said itself.
  EXPECT_EQ(one_->engine().Figures()["hints_heard"], 0u);
}

TEST_F(RadosHints, DomainsAndTheirLimitsAreKnownToOtherStoresAtOnce) {
  OpenBoth();
  EXPECT_FALSE(other_->engine().HasDomains());
  const uint64_t domain = one_->CreateDomain();
  EXPECT_TRUE(Becomes([&] { return other_->engine().HasDomains(); }));
  const uint64_t mailbox = one_->CreateMailbox(domain);
  EXPECT_EQ(other_->Check(mailbox, 500), "granted 500");
  const absl::Time begun = absl::Now();
  ASSERT_TRUE(one_->Update(PartitionId::Domain(domain), {},
                           [](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                             engine::Change change;
                             change.head = *view.head;
                             *change.head.mutable_domain()->mutable_default_bytes() = ValueOf(100);
                             return change;
                           })
                  .ok());
  EXPECT_TRUE(Becomes([&] { return other_->Check(mailbox, 500) != "granted 500"; }));
  std::printf("known after %s\n", absl::FormatDuration(absl::Now() - begun).c_str());
}

TEST_F(RadosHints, WithoutHintsOthersLookAroundByThemselves) {
  stores_.options.hints = false;
  stores_.options.life_interval = absl::Seconds(1);
  OpenBoth();
  std::printf("found after %s\n", absl::FormatDuration(TellOfOne(1)).c_str());
  EXPECT_EQ(other_->engine().Figures()["hints_heard"], 0u);
}

// A watcher that hears, and answers nobody.
class MuteWatcher {
 public:
  MuteWatcher(const std::string& conf, const std::string& name_space) {
    auto raw = Cluster::Connect({.conf = conf, .user = "admin", .keyring = "", .name_space = name_space});
    EXPECT_TRUE(raw.ok()) << raw.status();
    raw_ = *std::move(raw);
    pool_ = *raw_->OpenPool(cluster::kIndexPool);
    rados_completion_t completion;
    raw_->library()->aio_create_completion2(this, &MuteWatcher::OnWatched, &completion);
    EXPECT_EQ(raw_->library()->aio_watch2(pool_->ioctx(), kHintsObject, completion, &watch_,
                                          &MuteWatcher::OnNotify, &MuteWatcher::OnError, 0, this),
              0);
    EXPECT_TRUE(Becomes([this] { return watching_.load(); }));
    raw_->library()->aio_release(completion);
  }
  int heard() const { return heard_; }

 private:
  static void OnWatched(rados_completion_t, void* self) { static_cast<MuteWatcher*>(self)->watching_ = true; }
  static void OnNotify(void* self, uint64_t, uint64_t, uint64_t, void*, size_t) {
    ++static_cast<MuteWatcher*>(self)->heard_;
  }
  static void OnError(void*, uint64_t, int) {}

  uint64_t watch_ = 0;
  std::atomic<bool> watching_ = false;
  std::atomic<int> heard_ = 0;
  std::unique_ptr<Cluster> raw_;
  std::unique_ptr<Pool> pool_;
};

TEST_F(RadosHints, WatcherThatDoesNotAnswerHoldsNobodyUp) {
  OpenBoth();
  const MuteWatcher mute(conf_, namespace_);
  for (uint64_t tx = 1; tx <= 5; ++tx) {
    std::printf("told after %s\n", absl::FormatDuration(TellOfOne(tx)).c_str());
  }
  EXPECT_GT(mute.heard(), 0);
  stores_.ExpectExact(*other_);
}

TEST_F(RadosHints, LostWatchIsBegunAnewAndWhatWasMissedIsLookedFor) {
  OpenBoth();
  TellOfOne(1);
  const uint64_t before = Watches(*other_), of_one = Watches(*one_);
  const std::string remove =
      absl::StrCat("rados -c ", conf_, " -p ", cluster::kIndexPool, " -N ", namespace_, " rm ", kHintsObject);
  ASSERT_EQ(std::system(remove.c_str()), 0);
  // Whether the hint of this one is lost or not, it is told.
  TellOfOne(2);
  EXPECT_TRUE(Becomes([&] { return Watches(*other_) > before && Watches(*one_) > of_one; }));
  const uint64_t heard = other_->engine().Figures()["hints_heard"];
  TellOfOne(3);
  EXPECT_TRUE(Becomes([&] { return other_->engine().Figures()["hints_heard"] > heard; }));
  stores_.ExpectExact(*one_);
}

}  // namespace
}  // namespace restante::rados
