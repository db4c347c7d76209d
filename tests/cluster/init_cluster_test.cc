// What `restante-store init-cluster` makes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/cluster/init_cluster_fixture.h"

namespace restante::cluster {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(InitClusterTest, MakesPoolsAndUserWithWhichAStoreOpens) {
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  for (const std::string& pool : {index(), body()}) {
    const rados::PoolFacts facts = Facts(pool);
    EXPECT_TRUE(facts.replicated);
    EXPECT_EQ(facts.size, 3u);
    EXPECT_EQ(facts.min_size, 2u);
    EXPECT_THAT(facts.applications, ElementsAre("restante"));
  }
  const absl::StatusOr<std::string> store = OpenAsStore();
  ASSERT_EQ(store.status(), absl::OkStatus());
  EXPECT_THAT(said_, Contains(HasSubstr(*store)));
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(setup_.ceph.keyring).permissions(),
            perms::owner_read | perms::owner_write);
}

TEST_F(InitClusterTest, UserMayDoNothingOutsideItsPoolsAndNamespace) {
  setup_.ceph.name_space = "ours";
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  const std::string &user = setup_.ceph.user, &keyring = setup_.ceph.keyring;
  const auto ours = Connect(user, keyring, "ours"), others = Connect(user, keyring, "others");
  EXPECT_EQ(Put(*ours, index(), "object"), 0);
  EXPECT_EQ(Put(*ours, body(), "object"), 0);
  EXPECT_EQ(Put(*ours, kIndexPool, "object"), -EPERM);
  EXPECT_EQ(Put(*others, index(), "object"), -EPERM);
  EXPECT_EQ(rados::MonCommand(*ours, "osd pool create", JsonText("pool", "more")).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(InitClusterTest, SecondTimeChangesNothing) {
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  const std::string store = *OpenAsStore();
  const auto written = std::filesystem::last_write_time(setup_.ceph.keyring);
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  EXPECT_EQ(*OpenAsStore(), store);
  EXPECT_EQ(std::filesystem::last_write_time(setup_.ceph.keyring), written);
  EXPECT_THAT(said_, Not(Contains(HasSubstr("made"))));
}

TEST_F(InitClusterTest, ManyAtOnceMakeOneStore) {
  setup_.ceph.keyring.clear();
  MakePool(index());
  MakePool(body());
  std::vector<absl::Status> ended(4);
  std::vector<std::thread> threads;
  for (absl::Status& status : ended) {
    threads.emplace_back([&] { status = restante::SetUpCluster(setup_, [](absl::string_view) {}); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : ended) EXPECT_EQ(status, absl::OkStatus());
  EXPECT_EQ(Check(*admin_).status(), absl::OkStatus());
}

TEST_F(InitClusterTest, StoresOfTwoNamespacesAreTwo) {
  setup_.ceph.keyring.clear();
  setup_.ceph.name_space = "one";
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  setup_.ceph.name_space = "other";
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  const auto one = Connect("admin", "", "one"), other = Connect("admin", "", "other");
  EXPECT_NE(*Check(*one), *Check(*other));
}

TEST_F(InitClusterTest, OnePoolWillDoForBoth) {
  setup_.ceph.pool_body = setup_.ceph.pool_index;
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  EXPECT_EQ(OpenAsStore().status(), absl::OkStatus());
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
}

TEST_F(InitClusterTest, OneThatWasBrokenOffIsFinished) {
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  const std::string store = *OpenAsStore();
  RemoveMark(index());
  EXPECT_THAT(Why(OpenAsStore()), HasSubstr("no store of Restante is in it"));
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  EXPECT_EQ(*OpenAsStore(), store);
}

TEST_F(InitClusterTest, PoolsThatAreReadyAreMarkedWithoutAnAdministrator) {
  for (const std::string& pool : {index(), body()}) {
    MakePool(pool);
    Tag(pool, "restante");
  }
  Mon("auth get-or-create", absl::StrCat(JsonText("entity", "client." + setup_.ceph.user),
                                         R"(, "caps": ["mon", "allow r", "osd", ")",
                                         "allow rw pool=", index(), ", allow rw pool=", body(), R"("])"));
  UseAsAdministrator(setup_.ceph.user);
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  setup_.ceph.keyring = setup_.admin_keyring;
  EXPECT_EQ(OpenAsStore().status(), absl::OkStatus());
}

TEST_F(InitClusterTest, ErasureCodedTextsWillDoWithAPieceToSpare) {
  const std::string profile = "osds";
  Mon("osd erasure-code-profile set",
      absl::StrCat(JsonText("name", profile), R"(, "profile": ["k=2", "m=1", "crush-failure-domain=osd"])"));
  MakePool(body(), absl::StrCat(R"("pool_type": "erasure", )", JsonText("erasure_code_profile", profile)));
  // Two pieces are a text: a third has to be there when it is acknowledged.
  SetPool(body(), "min_size", 2);
  EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("pool `" + body()), HasSubstr("at least 3")));
  SetPool(body(), "min_size", 3);
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  EXPECT_EQ(OpenAsStore().status(), absl::OkStatus());
}

TEST_F(InitClusterTest, SingleCopiesAreMadeWhereThatIsAllowed) {
  setup_.size = 1;
  EXPECT_THAT(Why(setup_.Check()), AllOf(StartsWith("--size 1"), HasSubstr("--allow-min-size-1")));
  setup_.ceph.allow_min_size_1 = true;
  ASSERT_EQ(setup_.Check(), absl::OkStatus());
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  EXPECT_EQ(Facts(index()).size, 1u);
  EXPECT_EQ(Facts(index()).min_size, 1u);
}

// Output and errors of a command, and its exit status.
std::pair<std::string, int> Program(const std::string& arguments) {
  FILE* const output = ::popen((std::string(RESTANTE_STORE) + " " + arguments + " 2>&1").c_str(), "re");
  std::string text;
  for (int c; (c = std::fgetc(output)) != EOF;) text += static_cast<char>(c);
  return {text, WEXITSTATUS(::pclose(output))};
}

TEST_F(InitClusterTest, StoreEndsWithOneLineWhereThePoolsAreNotReady) {
  const std::string options =
      absl::StrCat("--engine rados --listen 127.0.0.1:0 --ops-listen none --ceph-user admin --ceph-conf ",
                   conf_, " --pool-index ", index(), " --pool-body ", body());
  const auto [missing, status] = Program(options);
  EXPECT_EQ(status, 1);
  EXPECT_THAT(missing, AllOf(StartsWith("restante-store: pool `" + index()), HasSubstr("there is none")));
  EXPECT_EQ(std::count(missing.begin(), missing.end(), '\n'), 1);
  MakePool(index());
  MakePool(body());
  EXPECT_THAT(Program(options).first,
              HasSubstr("no store of Restante is in it; `restante-store init-cluster`"));
}

TEST_F(InitClusterTest, ProgramSaysWhatItDidAndWhyNotInOneLine) {
  const std::string options =
      absl::StrCat("init-cluster --ceph-conf ", conf_, " --ceph-user ", setup_.ceph.user, " --pool-index ",
                   index(), " --pool-body ", body(), " --pg-num 4");
  const auto [made, status] = Program(options + " --ceph-keyring " + setup_.ceph.keyring);
  EXPECT_EQ(status, 0) << made;
  EXPECT_EQ(OpenAsStore().status(), absl::OkStatus());
  SetPool(index(), "min_size", 1);
  const auto [line, refused] = Program(options);
  EXPECT_EQ(refused, 1);
  EXPECT_THAT(line,
              AllOf(StartsWith("restante-store init-cluster: pool `" + index()), HasSubstr("min_size 1")));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(Program(options + " --size 0").second, 2);
  EXPECT_EQ(Program(options + " --ceph-namespace 'a,b'").second, 2);
}

}  // namespace
}  // namespace restante::cluster
