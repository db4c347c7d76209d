// Files between which no hard links can be made, as between two disks.
#ifndef RESTANTE_TESTS_EMBEDDED_UNLINKING_FILES_H_
#define RESTANTE_TESTS_EMBEDDED_UNLINKING_FILES_H_

#include <atomic>
#include <string>

#include "tests/embedded/faulty_files.h"

namespace restante::embedded {

class UnlinkingFiles : public FaultyFiles {
 public:
  absl::Status Link(const std::string&, const std::string& to) override {
    ++refused_;
    return absl::UnimplementedError(to + ": link: another disk");
  }
  int refused() const { return refused_; }

 private:
  std::atomic<int> refused_{0};
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_UNLINKING_FILES_H_
