// A store, its backups, and the stores that are made from them.
#ifndef RESTANTE_TESTS_EMBEDDED_BACKUP_FIXTURE_H_
#define RESTANTE_TESTS_EMBEDDED_BACKUP_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/engine/embedded/restore.h"
#include "tests/embedded/small_store.h"
#include "tests/embedded/unlinking_files.h"

namespace restante::embedded {

inline constexpr size_t kLarge = 5'000'000;  // Has a file of its own.

// Texts in short: size and checksum.
inline std::vector<std::string> Marks(const std::vector<std::string>& texts) {
  std::vector<std::string> marks;
  for (const std::string& text : texts) {
    marks.push_back(text.size() < 20 ? text : absl::StrCat(text.size(), "-", absl::Hex(Crc32c(text))));
  }
  return marks;
}

// A store with a few segments and a body file, and words for what is done to its
// backups.
class BackupTest : public testing::Test {
 protected:
  BackupTest() : store_(directory_.path / "data"), backup_((directory_.path / "backup").string()) {
    store_.options.segment_bytes = 50'000;
    store_.options.maintenance_interval = absl::Milliseconds(20);
    // Only by command: figures are compared.
    store_.options.compaction_bytes_per_second = 0;
  }

  void OpenStore() { ASSERT_TRUE(store_.Open().ok()); }
  void Fill() {
    OpenStore();
    for (uint64_t i = 0; i < 30; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, i)).ok());
    ASSERT_TRUE(store_.Deliver(Noise(kLarge, 100)).ok());
    for (uint64_t uid = 3; uid <= 9; uid += 2) ASSERT_TRUE(store_.Expunge(uid).ok());
  }

  absl::StatusOr<engine::BackupSummary> Backup(engine::BackupOptions options = {},
                                               engine::UpkeepReport report = {}) {
    if (options.directory.empty()) options.directory = backup_;
    damages_.clear();
    return Await<absl::StatusOr<engine::BackupSummary>>([&](auto done) {
      store_.engine->Backup(
          std::move(options),
          [this, report](engine::UpkeepProgress progress) {
            for (const engine::Damage& damage : progress.damages) {
              damages_.push_back(absl::StrCat(damage.file, ": ", damage.problem));
            }
            return !report || report(std::move(progress));
          },
          std::move(done));
    });
  }

  // A store made from the backup; Opened() opens it.
  absl::StatusOr<Restored> RestoreTo(const std::filesystem::path& data, bool accept_damage = false) {
    Options options = store_.options;
    options.data_dir = data;
    damaged_.clear();
    RestoreObserver observer;
    observer.damaged = [this](const std::string& line) { damaged_.push_back(line); };
    return Restore(options, backup_, accept_damage, observer,
                   [](engine::Engine&, const BackupManifest&) { return absl::OkStatus(); });
  }
  SmallStore Opened(const std::filesystem::path& data) {
    SmallStore store(data);
    store.options.create = false;
    EXPECT_TRUE(store.Open().ok());
    return store;
  }
  std::vector<std::string> Texts() { return Marks(store_.Texts()); }
  // Of a store that is made from the backup; it has to be in order.
  std::vector<std::string> RestoredTexts() {
    const std::filesystem::path data = directory_.path / absl::StrCat("restored-", ++restored_);
    const auto restored = RestoreTo(data);
    EXPECT_TRUE(restored.ok()) << restored.status();
    if (!restored.ok()) return {};
    SmallStore store = Opened(data);
    EXPECT_THAT(store.Problems(), testing::IsEmpty());
    return Marks(store.Texts());
  }

  std::vector<std::string> Names(const std::filesystem::path& path) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path))
      names.push_back(entry.path().filename());
    return names;
  }
  BackupManifest Manifest() { return *ReadBackupManifest(*Files::Posix(), backup_); }
  void FlipOctet(const std::filesystem::path& path, size_t at) {
    std::string content = ReadFile(path);
    content[at] = static_cast<char>(content[at] ^ 0x10);
    WriteFile(path, content);
  }

  Directory directory_;
  UnlinkingFiles copying_;
  SmallStore store_;
  std::string backup_;
  std::vector<std::string> damages_;  // That the last backup reported.
  std::vector<std::string> damaged_;  // That the last restore reported.
  int restored_ = 0;
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_BACKUP_FIXTURE_H_
