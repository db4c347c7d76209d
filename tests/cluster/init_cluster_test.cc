// What `restante-store init-cluster` makes, and what it and a store that opens refuse, with
// one line each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/cluster_setup.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/mon_command.h"
#include "server/engine/rados/pool_check.h"
#include "tests/cluster/cluster_fixture.h"

namespace restante::cluster {
namespace {

using rados::JsonText;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Pools and a user of the test's own in the run's cluster.
class InitClusterTest : public SharedClusterTest {
 protected:
  InitClusterTest() {
    setup_.ceph.conf = conf_;
    setup_.ceph.user = namespace_;
    setup_.ceph.keyring = file("client.keyring");
    setup_.ceph.pool_index = namespace_ + ".index";
    setup_.ceph.pool_body = namespace_ + ".body";
    setup_.pg_num = 4;
    std::filesystem::create_directory(directory_);
    admin_ = Connect("admin", "", "");
  }

  ~InitClusterTest() override {
    for (const std::string& pool : {index(), body()}) {
      (void)rados::MonCommand(*admin_, "osd pool delete",
                              absl::StrCat(JsonText("pool", pool), ", ", JsonText("pool2", pool),
                                           R"(, "yes_i_really_really_mean_it": true)"));
    }
    (void)rados::MonCommand(*admin_, "auth rm", JsonText("entity", "client." + setup_.ceph.user));
    std::filesystem::remove_all(directory_);
  }

  const std::string& index() const { return setup_.ceph.pool_index; }
  const std::string& body() const { return setup_.ceph.pool_body; }
  std::string file(const std::string& name) const { return directory_ / name; }

  std::unique_ptr<rados::Cluster> Connect(const std::string& user, const std::string& keyring,
                                          const std::string& name_space) {
    rados::ClusterOptions options;
    options.conf = conf_;
    options.user = user;
    options.keyring = keyring;
    options.name_space = name_space;
    auto connected = rados::Cluster::Connect(options);
    EXPECT_EQ(connected.status(), absl::OkStatus());
    return *std::move(connected);
  }

  // The text of what went wrong.
  static std::string Why(const absl::Status& status) { return std::string(status.message()); }
  static std::string Why(const absl::StatusOr<std::string>& result) { return Why(result.status()); }

  // Runs it; said_ is what it says.
  absl::Status SetUpCluster() {
    said_.clear();
    return restante::SetUpCluster(setup_, [&](absl::string_view line) { said_.emplace_back(line); });
  }

  // What a store asks when it opens, with the user that was made.
  absl::StatusOr<std::string> OpenAsStore() {
    const auto cluster = Connect(setup_.ceph.user, setup_.ceph.keyring, setup_.ceph.name_space);
    return Check(*cluster);
  }
  absl::StatusOr<std::string> Check(rados::Cluster& cluster, uint32_t wait_seconds = 60) {
    return rados::CheckStore(cluster, {index(), body(), setup_.ceph.allow_min_size_1}, wait_seconds);
  }

  void Mon(absl::string_view prefix, const std::string& arguments) {
    EXPECT_EQ(rados::MonCommand(*admin_, prefix, arguments).status(), absl::OkStatus());
  }
  void MakePool(const std::string& pool, const std::string& more = R"("pool_type": "replicated")") {
    Mon("osd pool create", absl::StrCat(JsonText("pool", pool), R"(, "pg_num": 4, "pgp_num": 4, )", more));
  }
  void SetPool(const std::string& pool, const char* variable, int value) {
    Mon("osd pool set", absl::StrCat(JsonText("pool", pool), ", ", JsonText("var", variable), ", ",
                                     JsonText("val", absl::StrCat(value))));
  }
  void Tag(const std::string& pool, const char* application) {
    Mon("osd pool application enable",
        absl::StrCat(JsonText("pool", pool), ", ", JsonText("app", application)));
  }
  rados::PoolFacts Facts(const std::string& pool) { return *FactsOf(*admin_, pool); }
  bool Exists(const std::string& pool) { return FactsOf(*admin_, pool).ok(); }

  // 0 or a negative errno.
  static int Write(rados::Cluster& cluster, const std::string& pool, const std::string& object,
                   absl::FunctionRef<void(rados::WriteOp&)> what) {
    const auto opened = cluster.OpenPool(pool);
    rados::WriteOp op = (*opened)->NewWrite();
    what(op);
    absl::Notification written;
    int result = 0;
    (*opened)->Write(object, std::move(op), false, [&](int answer) {
      result = answer;
      written.Notify();
    });
    written.WaitForNotification();
    return result;
  }
  static int Put(rados::Cluster& cluster, const std::string& pool, const std::string& object) {
    return Write(cluster, pool, object, [](rados::WriteOp& op) { op.Create(false); });
  }
  void SetMark(const std::string& pool, const char* attribute, const std::string& value) {
    EXPECT_EQ(Write(*admin_, pool, "restante", [&](rados::WriteOp& op) { op.SetXattr(attribute, value); }),
              0);
  }
  void RemoveMark(const std::string& pool) {
    EXPECT_EQ(Write(*admin_, pool, "restante", [](rados::WriteOp& op) { op.Remove(); }), 0);
  }

  ClusterSetup setup_;
  std::vector<std::string> said_;
  std::unique_ptr<rados::Cluster> admin_;
  const std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("restante-" + namespace_);
};

TEST_F(InitClusterTest, MakesPoolsAndUserWithWhichAStoreOpens) {
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  for (const std::string& pool : {index(), body()}) {
    const rados::PoolFacts facts = Facts(pool);
    EXPECT_TRUE(facts.replicated);
    EXPECT_EQ(facts.size, 3u);
    EXPECT_EQ(facts.min_size, 2u);
    EXPECT_THAT(facts.applications, ::testing::ElementsAre("restante"));
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

TEST_F(InitClusterTest, OneThatWasBrokenOffIsFinished) {
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  const std::string store = *OpenAsStore();
  RemoveMark(index());
  EXPECT_THAT(Why(OpenAsStore()), HasSubstr("no store of Restante is in it"));
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  EXPECT_EQ(*OpenAsStore(), store);
}

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

TEST_F(InitClusterTest, SingleCopiesAreMadeWhereThatIsAllowed) {
  setup_.size = 1;
  EXPECT_THAT(Why(setup_.Check()), AllOf(StartsWith("--size 1"), HasSubstr("--allow-min-size-1")));
  setup_.ceph.allow_min_size_1 = true;
  ASSERT_EQ(setup_.Check(), absl::OkStatus());
  ASSERT_EQ(SetUpCluster(), absl::OkStatus());
  EXPECT_EQ(Facts(index()).size, 1u);
  EXPECT_EQ(Facts(index()).min_size, 1u);
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
  const auto key =
      rados::MonCommand(*admin_, "auth get-key", JsonText("entity", "client." + setup_.ceph.user));
  setup_.admin_user = setup_.ceph.user;
  setup_.admin_keyring = file("admin.keyring");
  setup_.ceph.keyring.clear();
  std::ofstream(setup_.admin_keyring) << "[client." << setup_.admin_user
                                      << "]\n\tkey = " << rados::MemberOf(*key, "key").string_value() << "\n";
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

// Output and errors of a command, and its exit status.
std::pair<std::string, int> Program(const std::string& arguments) {
  FILE* const output = ::popen((std::string(RESTANTE_STORE) + " " + arguments + " 2>&1").c_str(), "re");
  std::string text;
  for (int c; (c = std::fgetc(output)) != EOF;) text += static_cast<char>(c);
  return {text, WEXITSTATUS(::pclose(output))};
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
