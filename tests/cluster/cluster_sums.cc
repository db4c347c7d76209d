#include "tests/cluster/cluster_sums.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/task.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/partition.h"
#include "server/engine/rados/shard_reader.h"
#include "tests/cluster/cluster_fixture.h"

namespace restante::rados {
namespace {

struct Counted {
  PartitionState state;
  Rows rows;
  uint64_t number = 0;
};

absl::StatusOr<Counted> ReadAll(Pool* pool, const std::string& object) {
  const auto read_object = [](Pool* from, std::string name) -> Task<absl::StatusOr<Counted>> {
    Counted counted;
    ReadOp op = from->NewRead();
    op.Xattrs();
    const ObjectRead read = co_await from->Read(name, std::move(op));
    CO_ASSIGN_OR_RETURN(counted.state, StateOf(read, name));
    CO_ASSIGN_OR_RETURN(counted.rows, co_await AllRows(from, name, ""));
    co_return counted;
  };
  return Wait<absl::StatusOr<Counted>>(read_object(pool, object));
}

class Sums {
 public:
  std::vector<std::string> Take(const std::map<std::string, Counted>& objects) {
    for (const auto& [object, counted] : objects) {
      if (counted.state.exists && absl::StartsWith(object, "domain.")) AddDomain(object, counted);
    }
    for (const auto& [object, counted] : objects) {
      if (counted.state.exists && absl::StartsWith(object, "mailbox.")) AddMailbox(object, counted);
    }
    return std::move(problems_);
  }

 private:
  void Expect(bool is_so, const std::string& object, const std::string& problem) {
    if (!is_so) problems_.push_back(absl::StrCat(object, ": ", problem));
  }
  void ExpectEqual(uint64_t stands, uint64_t counted, const std::string& object, const char* what) {
    Expect(stands == counted, object,
           absl::StrCat(what, ": ", stands, " stands there, ", counted, " counted"));
  }

  void AddDomain(const std::string& object, const Counted& domain) {
    uint64_t granted = 0;
    for (const auto& [key, value] : domain.rows) {
      if (!absl::StartsWith(key, kGrantPrefix)) continue;
      stored::Grant grant;
      Expect(grant.ParseFromString(value), object, absl::StrCat(key, " is damaged"));
      granted += grant.bytes();
      granted_[{domain.number, NumberOfKey(key).value_or(0)}] = grant;
    }
    ExpectEqual(domain.state.tail.granted_bytes(), granted, object, "granted bytes");
    const stored::Limit& limit = domain.state.head.domain().max_bytes();
    if (limit.kind() != stored::Limit::VALUE) return;
    Expect(granted <= limit.value(), object, absl::StrCat(granted, " bytes granted of ", limit.value()));
  }

  void AddMailbox(const std::string& object, const Counted& mailbox) {
    uint64_t used = 0, messages = 0, reserved = 0, reservations = 0;
    std::map<uint64_t, uint64_t> named, references;
    for (const auto& [key, value] : mailbox.rows) {
      if (absl::StartsWith(key, kReservationPrefix)) {
        stored::Reservation reservation;
        Expect(reservation.ParseFromString(value), object, absl::StrCat(key, " is damaged"));
        reserved += reservation.bytes();
        reservations++;
        Expect(false, object, absl::StrCat(key, " holds ", reservation.bytes(), " bytes"));
      }
      if (absl::StartsWith(key, kReferencePrefix)) {
        references[NumberOfKey(key).value_or(0)] = FromHex(value).value_or(0);
      }
      const std::optional<std::string> plain = FromPortKey(key);
      if (!plain || !engine::EntryUid(*plain)) continue;
      stored::Entry entry;
      Expect(entry.ParseFromString(value), object, absl::StrCat(key, " is damaged"));
      used += entry.size();
      messages++;
      named[entry.body()]++;
    }
    const stored::MailboxHead& head = mailbox.state.head.mailbox();
    const stored::PartitionTail& tail = mailbox.state.tail;
    ExpectEqual(head.used_bytes(), used, object, "used bytes");
    ExpectEqual(head.used_messages(), messages, object, "used messages");
    ExpectEqual(tail.reserved_bytes(), reserved, object, "reserved bytes");
    ExpectEqual(tail.reservations(), reservations, object, "reservations");
    Expect(named == references, object, "its references are not those of its entries");
    if (head.domain() == 0) return;
    Expect(used + reserved <= tail.grant().bytes(), object,
           absl::StrCat(used + reserved, " bytes used and reserved, ", tail.grant().bytes(), " granted"));
    const stored::Grant& granted = granted_[{head.domain(), mailbox.number}];
    Expect(tail.grant().bytes() <= granted.bytes(), object,
           absl::StrCat("believes in a grant of ", tail.grant().bytes(), " bytes, its domain in one of ",
                        granted.bytes()));
  }

  std::map<std::pair<uint64_t, uint64_t>, stored::Grant> granted_;  // By domain and mailbox.
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> Inexact(const std::string& conf, const std::string& name_space) {
  auto cluster = Cluster::Connect({.conf = conf, .user = "admin", .keyring = "", .name_space = name_space});
  if (!cluster.ok()) return {cluster.status().ToString()};
  auto index = (*cluster)->OpenPool(cluster::kIndexPool);
  if (!index.ok()) return {index.status().ToString()};
  std::vector<std::string> names;
  const absl::Status listed = (*index)->List([&](absl::string_view name) { names.emplace_back(name); });
  if (!listed.ok()) return {listed.ToString()};
  std::map<std::string, Counted> objects;
  for (const std::string& name : names) {
    const size_t dot = name.find('.');
    const std::string kind = name.substr(0, dot);
    if (kind != "mailbox" && kind != "domain") continue;
    auto counted = ReadAll(index->get(), name);
    if (!counted.ok()) return {counted.status().ToString()};
    counted->number = FromHex(name.substr(dot + 1)).value_or(0);
    objects[name] = *std::move(counted);
  }
  return Sums().Take(objects);
}

}  // namespace restante::rados
