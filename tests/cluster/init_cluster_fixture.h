// `restante-store init-cluster` on the run's cluster, in pools and with a user of the test's
// own, and few words for what others do to them: MakePool, SetPool, Put, SetMark.
#ifndef RESTANTE_TESTS_CLUSTER_INIT_CLUSTER_FIXTURE_H_
#define RESTANTE_TESTS_CLUSTER_INIT_CLUSTER_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
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

using rados::JsonText;

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

  // Lets a user that is there set it up, with the rights that it has; none is made.
  void UseAsAdministrator(const std::string& user) {
    const auto key = rados::MonCommand(*admin_, "auth get-key", JsonText("entity", "client." + user));
    ASSERT_EQ(key.status(), absl::OkStatus());
    setup_.admin_user = user;
    setup_.admin_keyring = file("admin.keyring");
    setup_.ceph.keyring.clear();
    std::ofstream(setup_.admin_keyring)
        << "[client." << user << "]\n\tkey = " << rados::MemberOf(*key, "key").string_value() << "\n";
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

}  // namespace restante::cluster

#endif  // RESTANTE_TESTS_CLUSTER_INIT_CLUSTER_FIXTURE_H_
