// A store in a process of its own (rados_store_child.cc), that a test may kill and stop.
#ifndef RESTANTE_TESTS_CLUSTER_CHILD_STORE_H_
#define RESTANTE_TESTS_CLUSTER_CHILD_STORE_H_

#include <sys/types.h>

#include <string>

#include "server/engine/rados/rados_engine.h"

namespace restante::rados {

// One thread. What cannot be done ends the program.
class ChildStore {
 public:
  // Opens a store as one in this process would be by `options`.
  explicit ChildStore(const Options& options);
  // Kills it if it is still there.
  ~ChildStore();
  ChildStore(const ChildStore&) = delete;
  ChildStore& operator=(const ChildStore&) = delete;

  void Say(const std::string& line);
  // The next line that it says; "" when it is gone, or silent for two minutes.
  std::string Hear();
  // Says something, and hears the answer.
  std::string Ask(const std::string& line);

  // Asks for something on whose way the child ends, or stops; true if it did so, at the step.
  bool IsKilledAt(const std::string& step, int count, const std::string& line);
  bool StopsAt(const std::string& step, int count, const std::string& line);
  void Continue();
  void Kill();

 private:
  bool Meets(const std::string& step, int count, const std::string& how, const std::string& line);

  pid_t pid_ = 0;
  int to_ = -1, from_ = -1;
};

}  // namespace restante::rados

#endif  // RESTANTE_TESTS_CLUSTER_CHILD_STORE_H_
