#include "server/cluster_setup.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/file_watch.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/mon_command.h"
#include "server/engine/rados/pool_check.h"

namespace restante {
namespace {

using google::protobuf::Value;
using rados::JsonText;
using rados::MonCommand;
using rados::PoolFacts;
using rados::PoolUse;
using Say = absl::FunctionRef<void(absl::string_view line)>;

// How many copies acknowledge a write, where there are so many.
constexpr uint32_t kMinSize = 2;
constexpr char kMonRights[] = "allow r";

// Of 128 random bits.
std::string NewStoreId() {
  absl::BitGen random;
  return absl::StrCat(rados::Hex(random()), rados::Hex(random()));
}

// One of the store's two pools.
struct Part {
  std::string name;
  PoolUse use;
  std::unique_ptr<rados::Pool> pool = nullptr;  // Null while there is none.
  std::optional<std::string> mark = std::nullopt;
};

class Setup {
 public:
  Setup(const ClusterSetup& setup, rados::Cluster* cluster, Say say)
      : setup_(setup),
        cluster_(*cluster),
        say_(say),
        index_{.name = setup.ceph.pool_index, .use = PoolUse::kIndex},
        body_{.name = setup.ceph.pool_body, .use = PoolUse::kBody} {}

  // Everything that can be wrong is looked for before anything is changed. The marks come
  // last, the index's at the very end: without it no store opens the pools.
  absl::Status Run() {
    for (Part* part : {&index_, &body_}) RETURN_IF_ERROR(Look(*part));
    RETURN_IF_ERROR(CheckMarks());
    if (!setup_.ceph.keyring.empty()) RETURN_IF_ERROR(MakeUser());
    for (Part* part : {&index_, &body_}) RETURN_IF_ERROR(MakePool(*part));
    RETURN_IF_ERROR(WriteMark(body_, NewStoreId()));
    // Another setup at the same time may have been first.
    ASSIGN_OR_RETURN(body_.mark, ReadMark(*body_.pool, body_.name));
    RETURN_IF_ERROR(WriteMark(index_, *body_.mark));
    ASSIGN_OR_RETURN(
        const std::string marked,
        CheckStore(cluster_, {index_.name, body_.name, setup_.ceph.allow_min_size_1}, setup_.answer_seconds));
    say_(absl::StrCat("store ", marked, ": ready in ", index_.name, " and ", body_.name));
    return absl::OkStatus();
  }

 private:
  absl::Status Look(Part& part);
  absl::Status CheckMarks();
  // kFailedPrecondition: an object is there that is no mark.
  absl::Status CheckEmpty(Part& part);
  absl::Status MakeUser();
  absl::Status WriteKeyring(const std::string& text);
  absl::Status MakePool(Part& part);
  absl::Status WriteMark(Part& part, const std::string& store);

  const ClusterSetup& setup_;
  rados::Cluster& cluster_;
  const Say say_;
  Part index_, body_;
};

absl::Status Setup::Look(Part& part) {
  const absl::StatusOr<PoolFacts> facts = FactsOf(cluster_, part.name);
  if (absl::IsNotFound(facts.status())) return absl::OkStatus();
  RETURN_IF_ERROR(facts.status());
  RETURN_IF_ERROR(CheckPool(cluster_, part.name, *facts, part.use, setup_.ceph.allow_min_size_1));
  ASSIGN_OR_RETURN(part.pool, cluster_.OpenPool(part.name));
  ASSIGN_OR_RETURN(part.mark, ReadMark(*part.pool, part.name));
  return absl::OkStatus();
}

absl::Status Setup::CheckMarks() {
  if (!index_.mark) {
    // A mark in the body pool alone is of a setup that was broken off, if nothing is there
    // but that.
    for (Part* part : {&index_, &body_}) {
      if (part->pool != nullptr) RETURN_IF_ERROR(CheckEmpty(*part));
    }
  } else if (index_.mark != body_.mark) {
    return absl::FailedPreconditionError(absl::StrCat("pool `", body_.name,
                                                      "`: has not the texts of the store in `", index_.name,
                                                      "`; is it the right --pool-body?"));
  }
  return absl::OkStatus();
}

absl::Status Setup::CheckEmpty(Part& part) {
  const rados::Librados& library = *cluster_.library();
  const rados_ioctx_t pool = part.pool->ioctx();
  const rados_object_list_cursor end = library.object_list_end(pool);
  rados_object_list_cursor at = library.object_list_begin(pool), next = library.object_list_begin(pool);
  absl::Status status;
  while (status.ok() && library.object_list_is_end(pool, at) == 0) {
    rados_object_list_item items[16] = {};
    const int count = library.object_list(pool, at, end, std::size(items), nullptr, 0, items, &next);
    if (count < 0) {
      status = rados::ToStatus(count, absl::StrCat("pool `", part.name, "`: listing its objects"));
      break;
    }
    for (int i = 0; i < count && status.ok(); ++i) {
      const absl::string_view object(items[i].oid, items[i].oid_length);
      if (object == rados::kStoreObject) continue;
      status = absl::FailedPreconditionError(
          absl::StrCat("pool `", part.name, "`: holds objects that are of no store here, `", object,
                       "` among them; a new store needs an empty pool or --ceph-namespace"));
    }
    library.object_list_free(count, items);
    std::swap(at, next);
  }
  for (const rados_object_list_cursor cursor : {at, next, end}) library.object_list_cursor_free(pool, cursor);
  return status;
}

absl::Status Setup::MakeUser() {
  const std::string user = absl::StrCat("client.", setup_.ceph.user);
  std::string rights;
  for (const Part* part : {&index_, &body_}) {
    absl::StrAppend(&rights, rights.empty() ? "" : ", ", "allow rw pool=", part->name);
    if (!setup_.ceph.name_space.empty()) absl::StrAppend(&rights, " namespace=", setup_.ceph.name_space);
  }
  absl::StatusOr<Value> found = MonCommand(cluster_, "auth get", JsonText("entity", user));
  const bool made = absl::IsNotFound(found.status());
  if (made) {
    found = MonCommand(cluster_, "auth get-or-create",
                       absl::StrCat(JsonText("entity", user), R"(, "caps": ["mon", ")", kMonRights,
                                    R"(", "osd", ")", rights, R"("])"));
  }
  RETURN_IF_ERROR(found.status());
  if (found->list_value().values_size() != 1) {
    return absl::UnavailableError(absl::StrCat(user, ": the monitor does not show its key"));
  }
  const Value& entry = found->list_value().values(0);
  const Value& has = rados::MemberOf(entry, "caps");
  // `auth get-or-create` does not say the rights that it has given.
  if (!made && (rados::MemberOf(has, "mon").string_value() != kMonRights ||
                rados::MemberOf(has, "osd").string_value() != rights)) {
    return absl::FailedPreconditionError(absl::StrCat(user, ": is there, with other rights than mon '",
                                                      kMonRights, "' osd '", rights,
                                                      "' (`ceph auth caps` changes them)"));
  }
  say_(absl::StrCat(user, ": ", made ? "made" : "is there"));
  return WriteKeyring(
      absl::StrCat("[", user, "]\n\tkey = ", rados::MemberOf(entry, "key").string_value(), "\n"));
}

absl::Status Setup::WriteKeyring(const std::string& text) {
  const std::string& file = setup_.ceph.keyring;
  const auto wrong = [&](absl::string_view why) {
    return absl::FailedPreconditionError(absl::StrCat("--ceph-keyring `", file, "`: ", why));
  };
  if (::access(file.c_str(), F_OK) == 0) {
    const absl::StatusOr<std::string> there = ReadSmallFile(file);
    if (!there.ok()) return Annotate(there.status(), "--ceph-keyring");
    if (*there == text) return absl::OkStatus();
    return wrong(absl::StrCat("is there already, and not with the key of client.", setup_.ceph.user));
  }
  // Under its name it is whole, and never somebody else's to read.
  const std::string unfinished = file + ".new";
  const int fd = ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return wrong(strerror(errno));
  const bool written =
      ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const int error = written ? 0 : errno;
  if (::close(fd) != 0 || !written) return wrong(strerror(error != 0 ? error : errno));
  if (::rename(unfinished.c_str(), file.c_str()) != 0) return wrong(strerror(errno));
  say_(absl::StrCat(file, ": its key"));
  return absl::OkStatus();
}

absl::Status Setup::MakePool(Part& part) {
  const std::string pool = JsonText("pool", part.name);
  if (part.pool == nullptr) {
    const uint32_t min_size = std::min(setup_.size, kMinSize);
    std::string arguments = absl::StrCat(pool, ", ", JsonText("pool_type", "replicated"),
                                         ", \"size\": ", setup_.size, R"(, "yes_i_really_mean_it": true)");
    if (setup_.pg_num != 0) {
      absl::StrAppend(&arguments, ", \"pg_num\": ", setup_.pg_num, ", \"pgp_num\": ", setup_.pg_num);
    }
    RETURN_IF_ERROR(MonCommand(cluster_, "osd pool create", arguments).status());
    RETURN_IF_ERROR(MonCommand(cluster_, "osd pool set",
                               absl::StrCat(pool, ", ", JsonText("var", "min_size"), ", ",
                                            JsonText("val", absl::StrCat(min_size))))
                        .status());
    ASSIGN_OR_RETURN(part.pool, cluster_.OpenPool(part.name));
    say_(absl::StrCat("pool ", part.name, ": made; copies ", setup_.size, ", acknowledged by ", min_size));
  } else {
    say_(absl::StrCat("pool ", part.name, ": is there"));
  }
  ASSIGN_OR_RETURN(const PoolFacts facts, FactsOf(cluster_, part.name));
  if (!facts.applications.empty()) return absl::OkStatus();
  return MonCommand(cluster_, "osd pool application enable",
                    absl::StrCat(pool, ", ", JsonText("app", rados::kApplication)))
      .status();
}

absl::Status Setup::WriteMark(Part& part, const std::string& store) {
  if (part.mark) return absl::OkStatus();
  rados::WriteOp op = part.pool->NewWrite();
  op.Create(true).SetXattr("format", absl::StrCat(rados::kClusterFormat)).SetXattr("store", store);
  absl::Notification written;
  int result = 0;
  part.pool->Write(rados::kStoreObject, std::move(op), false, [&](int answer) {
    result = answer;
    written.Notify();
  });
  written.WaitForNotification();
  // Of another setup at the same time, or both are one pool: whether the marks fit is seen
  // in the end.
  if (result == -EEXIST) return absl::OkStatus();
  if (result == -ETIMEDOUT) return rados::NoAnswer(part.name);
  return rados::ToStatus(result, absl::StrCat("pool `", part.name, "`: marking it"));
}

}  // namespace

void ClusterSetup::Register(OptionTable& options) {
  ceph.Register(options, "Where the key of --ceph-user goes, a new file; empty: no user is made.");
  options.String("admin-user", &admin_user, "NAME", "Who sets it up, without `client.`.");
  options.String("admin-keyring", &admin_keyring, "FILE",
                 "File with that user's key; empty: as ceph.conf says.");
  options.Uint32("size", &size, "N", "Copies that new pools keep.");
  options.Uint32("pg-num", &pg_num, "N", "Placement groups of new pools; 0: as the cluster does by default.");
}

absl::Status ClusterSetup::Check() const {
  RETURN_IF_ERROR(ceph.Check());
  if (admin_user.empty()) return absl::InvalidArgumentError("--admin-user: is empty");
  if (size == 0 || size > 10) {
    return absl::InvalidArgumentError(absl::StrCat("--size ", size, ": 1 to 10"));
  }
  if (size == 1 && !ceph.allow_min_size_1) {
    return absl::InvalidArgumentError(
        "--size 1: one broken disk would lose mail; --allow-min-size-1 allows it");
  }
  return absl::OkStatus();
}

absl::Status SetUpCluster(const ClusterSetup& setup, Say say) {
  rados::ClusterOptions options;
  options.conf = setup.ceph.conf;
  options.user = setup.admin_user;
  options.keyring = setup.admin_keyring;
  options.name_space = setup.ceph.name_space;
  options.connect_seconds = setup.connect_seconds;
  ASSIGN_OR_RETURN(const std::unique_ptr<rados::Cluster> cluster, rados::Cluster::Connect(options));
  const rados::BoundedWaits bounded(cluster.get(), setup.answer_seconds);
  return Setup(setup, cluster.get(), say).Run();
}

int InitCluster(int argc, const char* const* argv) {
  ClusterSetup setup;
  OptionTable options(
      "restante-store init-cluster",
      "Prepares a Ceph cluster for stores with --engine rados, and ends. Again it does no harm.");
  setup.Register(options);
  if (std::optional<int> status = options.Parse(argc, argv, [&] { return setup.Check(); })) return *status;
  const absl::Status done = SetUpCluster(setup, [](absl::string_view line) {
    std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
    std::fflush(stdout);
  });
  if (done.ok()) return 0;
  std::fprintf(stderr, "restante-store init-cluster: %s\n", std::string(done.message()).c_str());
  return 1;
}

}  // namespace restante
