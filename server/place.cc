#include "server/place.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/rados/rados_engine.h"

namespace restante {
namespace {

constexpr absl::string_view kEmbedded = "embedded:";
constexpr absl::string_view kRados = "rados";
// Nothing is too old while it is moved: what the store keeps is its own to decide.
constexpr uint64_t kEver = uint64_t{100} * 365 * 24 * 60 * 60;

// Thresholds are recorded where it is served.
engine::QuotaRules NoRules() {
  engine::QuotaRules rules;
  rules.thresholds.clear();
  return rules;
}

}  // namespace

absl::StatusOr<Place> Place::Parse(absl::string_view option, const std::string& text) {
  if (text == kRados) return Place{.rados = true, .directory = ""};
  if (!absl::StartsWith(text, kEmbedded) || text.size() == kEmbedded.size()) {
    return absl::InvalidArgumentError(absl::StrCat("--", option, " ", text.empty() ? "``" : text,
                                                   ": is no place; embedded:DIR is a data directory, rados "
                                                   "the cluster that --ceph-conf names"));
  }
  const std::string directory = text.substr(kEmbedded.size());
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(directory, error).lexically_normal();
  if (!error && !path.has_filename() && path.has_relative_path()) path = path.parent_path();
  return Place{.rados = false, .directory = error ? directory : path.string()};
}

std::string Place::Name(const CephOptions& ceph) const {
  if (!rados) return absl::StrCat(kEmbedded, directory);
  return absl::StrCat(kRados, ":", ceph.pool_index, "+", ceph.pool_body, ceph.name_space.empty() ? "" : "/",
                      ceph.name_space);
}

absl::StatusOr<std::unique_ptr<engine::Engine>> OpenToMove(const Place& place, const CephOptions& ceph,
                                                           bool create) {
  if (place.rados) {
    rados::Options options;
    options.ceph_conf = ceph.conf;
    options.ceph_user = ceph.user;
    options.ceph_keyring = ceph.keyring;
    options.pool_index = ceph.pool_index;
    options.pool_body = ceph.pool_body;
    options.name_space = ceph.name_space;
    options.allow_min_size_1 = ceph.allow_min_size_1;
    options.rules = NoRules();
    options.retry_window_seconds = options.event_retention_seconds = kEver;
    options.give_up = [] { std::_Exit(1); };
    return rados::Open(std::move(options));
  }
  embedded::Options options;
  options.data_dir = place.directory;
  options.create = create;
  options.rules = NoRules();
  options.retry_window_seconds = options.event_retention_seconds = kEver;
  options.compaction_bytes_per_second = 0;
  return embedded::Open(std::move(options));
}

}  // namespace restante
