// What `restante-store init-cluster` and a store that opens refuse, with one line each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/cluster/init_cluster_fixture.h"

namespace restante::cluster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(InitClusterTest, IndexOfAnEmptyPoolIsNotJoinedToTextsOfAStore) {
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  RemoveMark(index());
  ASSERT_EQ(Put(*admin_, body(), "body.0000000000000001"), 0);
  EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("pool `" + body()), HasSubstr("body.0000000000000001")));
}

TEST_F(InitClusterTest, PoolsOfDifferentStoresAreRefused) {
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  SetMark(body(), "store", std::string(32, '0'));
  EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("pool `" + body()), HasSubstr("--pool-body")));
  EXPECT_THAT(Why(OpenAsStore()), AllOf(HasSubstr(index()), HasSubstr("different stores")));
}

TEST_F(InitClusterTest, OtherFormatsAreRefused) {
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  for (const auto& [format, text] :
       {std::pair("0", "format 0, made by an older program; this one knows format 1"),
        std::pair("2", "format 2, made by a newer program; this one knows format 1"),
        std::pair("x", "is not a store's")}) {
    SetMark(index(), "format", format);
    EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("pool `" + index()), HasSubstr(text)));
    EXPECT_THAT(Why(OpenAsStore()), AllOf(StartsWith("pool `" + index()), HasSubstr(text)));
  }
}

TEST_F(InitClusterTest, MissingPoolIsNamedToAStore) {
  EXPECT_THAT(Why(Check(*admin_)), AllOf(StartsWith("pool `" + index()), HasSubstr("there is none")));
  MakePool(index());
  EXPECT_THAT(Why(Check(*admin_)), AllOf(StartsWith("pool `" + body()), HasSubstr("there is none")));
}

TEST_F(InitClusterTest, ErasureCodedIndexIsRefusedAndNothingIsMade) {
  MakePool(index(), R"("pool_type": "erasure")");
  EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("pool `" + index()), HasSubstr("erasure-coded")));
  EXPECT_FALSE(Exists(body()));
  EXPECT_FALSE(std::filesystem::exists(setup_.ceph.keyring));
}

TEST_F(InitClusterTest, MinSize1IsRefusedUnlessAllowed) {
  MakePool(body());
  SetPool(body(), "min_size", 1);
  EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("pool `" + body()), HasSubstr("min_size 1 of 3"),
                                         HasSubstr("at least 2"), HasSubstr("--allow-min-size-1")));
  EXPECT_FALSE(Exists(index()));
  setup_.ceph.allow_min_size_1 = true;
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  EXPECT_EQ(OpenAsStore().status(), absl::OkStatus());
  setup_.ceph.allow_min_size_1 = false;
  EXPECT_THAT(Why(OpenAsStore()), HasSubstr("min_size 1 of 3"));
}

TEST_F(InitClusterTest, PoolOfAnotherApplicationIsRefused) {
  MakePool(body());
  Tag(body(), "rbd");
  EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("pool `" + body()), HasSubstr("belongs to `rbd`")));
  EXPECT_FALSE(Exists(index()));
}

TEST_F(InitClusterTest, PoolWithObjectsOfOthersIsRefused) {
  MakePool(index());
  ASSERT_EQ(Put(*admin_, index(), "rbd_directory"), 0);
  EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("pool `" + index()), HasSubstr("rbd_directory")));
  EXPECT_FALSE(Exists(body()));
  EXPECT_EQ(Facts(index()).applications.size(), 0u);
  // A namespace of its own is empty.
  setup_.ceph.name_space = "ours";
  EXPECT_EQ(SetUpCluster(), absl::OkStatus());
}

TEST_F(InitClusterTest, KeyringThatIsThereIsNotOverwritten) {
  std::ofstream(setup_.ceph.keyring) << "somebody's\n";
  EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("--ceph-keyring"), HasSubstr("is there already")));
  EXPECT_FALSE(Exists(index()));
}

TEST_F(InitClusterTest, UserWithOtherRightsIsRefused) {
  Mon("auth get-or-create",
      JsonText("entity", "client." + setup_.ceph.user) + R"(, "caps": ["mon", "allow *"])");
  EXPECT_THAT(Why(SetUpCluster()),
              AllOf(StartsWith("client." + setup_.ceph.user), HasSubstr("other rights")));
  EXPECT_FALSE(Exists(index()));
}

TEST_F(InitClusterTest, UserWithoutTheRightToDoItIsTold) {
  Mon("auth get-or-create",
      JsonText("entity", "client." + setup_.ceph.user) + R"(, "caps": ["mon", "allow r"])");
  UseAsAdministrator(setup_.ceph.user);
  const absl::Status status = SetUpCluster();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(Why(status), HasSubstr("osd pool create"));
}

TEST_F(InitClusterTest, WrongKeyIsTold) {
  setup_.admin_keyring = file("wrong.keyring");
  std::ofstream(setup_.admin_keyring) << "[client.admin]\n\tkey = AQAR5whrA3KXHxAAs4C0CGYEsTSDafHmaAWxWg==\n";
  const absl::Status status = SetUpCluster();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(Why(status), AllOf(HasSubstr(conf_), HasSubstr("client.admin")));
}

TEST_F(InitClusterTest, ClusterThatIsNotThereIsTold) {
  setup_.ceph.conf = file("nobody.conf");
  setup_.connect_seconds = 2;
  setup_.admin_keyring = std::filesystem::path(conf_).replace_filename("client.admin.keyring");
  std::ofstream(setup_.ceph.conf) << "[global]\nmon_host = [v2:127.0.0.1:1/0]\n";
  const absl::Status status = SetUpCluster();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Why(status), AllOf(HasSubstr("nobody.conf"), HasSubstr("within 2 seconds")));
}

TEST_F(InitClusterTest, PoolThatDoesNotServeIsTold) {
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  // More copies than there are OSDs, and all are needed.
  SetPool(index(), "size", 4);
  SetPool(index(), "min_size", 4);
  setup_.answer_seconds = 2;
  EXPECT_THAT(Why(SetUpCluster()), AllOf(StartsWith("pool `" + index()), HasSubstr("does not answer")));
  EXPECT_THAT(Why(Check(*admin_, 2)), HasSubstr("does not answer"));
}

}  // namespace
}  // namespace restante::cluster
