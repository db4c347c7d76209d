// Removes files of the store, but for those that somebody still copies.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_FILE_REMOVER_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_FILE_REMOVER_H_

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

// Any thread.
class FileRemover {
 public:
  // While it lives, files that it needs are not removed. One owner.
  class Hold {
   public:
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold();

    // From now on it needs these only; in the beginning it needs every file.
    void Narrow(absl::flat_hash_set<std::string> paths);
    void LetGo(const std::string& path);

   private:
    friend class FileRemover;
    explicit Hold(FileRemover* remover) : remover_(remover) {}

    FileRemover* const remover_;
    // Guarded by the remover's mutex; nullopt: everything.
    std::optional<absl::flat_hash_set<std::string>> needed_;
  };

  explicit FileRemover(Files* files) : files_(files) {}

  // That it will be removed: said before anybody can see that nothing names it.
  void Announce(const std::string& path);

  // Now, or as soon as nobody holds it. Nothing durable may name it any more: the
  // removal may fail, or be lost with the process, and the next start does it.
  void Remove(const std::string& path);

  // Whether it was announced, or is to be removed, and still is.
  bool Going(const std::string& path);

  // Ends before the remover. A file whose removal was asked for before this call
  // may go all the same.
  std::unique_ptr<Hold> HoldAll();

 private:
  bool Held(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those of the waiting files that nobody holds any more.
  std::vector<std::string> TakeFree() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveNow(const std::vector<std::string>& paths);

  Files* const files_;
  absl::Mutex mutex_;
  std::set<Hold*> holds_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> going_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> waiting_ ABSL_GUARDED_BY(mutex_);  // Of those: asked for.
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_FILE_REMOVER_H_
