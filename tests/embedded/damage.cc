#include "tests/embedded/damage.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace restante::embedded {

std::vector<engine::Damage> Scrub(SmallStore& store, uint64_t bytes_per_second) {
  std::vector<engine::Damage> damages;
  const absl::Status status = Await<absl::Status>([&](auto done) {
    store.engine->Scrub(
        bytes_per_second,
        [&](engine::UpkeepProgress progress) {
          EXPECT_LE(progress.done_bytes, progress.total_bytes);
          std::move(progress.damages.begin(), progress.damages.end(), std::back_inserter(damages));
          return true;
        },
        std::move(done));
  });
  EXPECT_TRUE(status.ok()) << status;
  return damages;
}

std::string Text(const std::vector<engine::Damage>& damages) {
  std::string text;
  for (const engine::Damage& damage : damages) {
    absl::StrAppend(&text, "\n  ", damage.file, " at ", damage.offset, ": ", damage.problem, " (");
    for (const auto& [mailbox, uid] : damage.messages) absl::StrAppend(&text, " ", mailbox, "/", uid);
    absl::StrAppend(&text, " )");
  }
  return text;
}

Flip::Flip(const std::filesystem::path& path, uint64_t at, uint8_t bit)
    : file_(path, std::ios::in | std::ios::out | std::ios::binary), at_(at), bit_(bit) {
  Toggle();
}

void Flip::Toggle() {
  file_.seekg(static_cast<std::streamoff>(at_));
  const char octet = static_cast<char>(file_.get() ^ bit_);
  file_.seekp(static_cast<std::streamoff>(at_));
  file_.put(octet);
  file_.flush();
  if (!file_) std::abort();
}

}  // namespace restante::embedded
