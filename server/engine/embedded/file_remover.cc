#include "server/engine/embedded/file_remover.h"

#include <algorithm>
#include <utility>

namespace restante::embedded {

FileRemover::Hold::~Hold() {
  std::vector<std::string> free;
  {
    absl::MutexLock lock(&remover_->mutex_);
    remover_->holds_.erase(this);
    free = remover_->TakeFree();
  }
  remover_->RemoveNow(free);
}

void FileRemover::Hold::Narrow(absl::flat_hash_set<std::string> paths) {
  std::vector<std::string> free;
  {
    absl::MutexLock lock(&remover_->mutex_);
    needed_ = std::move(paths);
    free = remover_->TakeFree();
  }
  remover_->RemoveNow(free);
}

void FileRemover::Hold::LetGo(const std::string& path) {
  std::vector<std::string> free;
  {
    absl::MutexLock lock(&remover_->mutex_);
    if (needed_) needed_->erase(path);
    free = remover_->TakeFree();
  }
  remover_->RemoveNow(free);
}

void FileRemover::Announce(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  going_.insert(path);
}

bool FileRemover::Going(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  return going_.contains(path);
}

void FileRemover::Remove(const std::string& path) {
  {
    absl::MutexLock lock(&mutex_);
    going_.insert(path);
    if (Held(path)) {
      waiting_.push_back(path);
      return;
    }
  }
  RemoveNow({path});
}

std::unique_ptr<FileRemover::Hold> FileRemover::HoldAll() {
  std::unique_ptr<Hold> hold(new Hold(this));
  absl::MutexLock lock(&mutex_);
  holds_.insert(hold.get());
  return hold;
}

bool FileRemover::Held(const std::string& path) const {
  return std::any_of(holds_.begin(), holds_.end(),
                     [&](const Hold* hold) { return !hold->needed_ || hold->needed_->contains(path); });
}

void FileRemover::RemoveNow(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) files_->Remove(path).IgnoreError();
  absl::MutexLock lock(&mutex_);
  for (const std::string& path : paths) going_.erase(path);
}

std::vector<std::string> FileRemover::TakeFree() {
  const auto free = std::stable_partition(waiting_.begin(), waiting_.end(),
                                          [this](const std::string& path) { return Held(path); });
  std::vector<std::string> taken(std::make_move_iterator(free), std::make_move_iterator(waiting_.end()));
  waiting_.erase(free, waiting_.end());
  return taken;
}

}  // namespace restante::embedded
