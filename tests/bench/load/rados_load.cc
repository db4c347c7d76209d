// Operations on objects of a Ceph cluster by librados, with nothing in between: what a
// store over that cluster cannot be faster than.
//
//     rados_load CONF POOL guarded OBJECTS IN_FLIGHT SECONDS   writes as those of a mailbox: the number of
//                                          the last write must still be there; it is raised, the head
//                                          (200 octets) written, and one key with 200 octets added
//     rados_load CONF POOL bodies SIZE IN_FLIGHT SECONDS       new objects of SIZE octets
//     rados_load CONF POOL read SIZE IN_FLIGHT SECONDS         any of 100 such, whole
//
// As client.admin, in a namespace of its own for each run, in which it leaves what it
// has written. Anything but success ends it with an error.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/rados/librados.h"
#include "tests/bench/load/inputs.h"
#include "tests/bench/load/latencies.h"

namespace restante::bench {
namespace {

using rados::Librados;

constexpr int kReadObjects = 100;

void Check(int result, absl::string_view what) {
  if (result < 0) Die(rados::ToStatus(result, what).ToString());
}

const Librados& Library() {
  static const absl::StatusOr<const Librados*> library = Librados::Load();
  if (!library.ok()) Die(library.status().ToString());
  return **library;
}

// A pool, and as many operations in it at a time as are asked for.
class Pool {
 public:
  Pool(const char* conf, const char* name) {
    Check(Library().create2(&cluster_, "ceph", "client.admin", 0), "librados");
    Check(Library().conf_read_file(cluster_, conf), conf);
    Check(Library().connect(cluster_), conf);
    Check(Library().ioctx_create(cluster_, name, &ioctx_), name);
    Library().ioctx_set_namespace(ioctx_, absl::StrCat("load-", std::random_device()()).c_str());
  }
  ~Pool() {
    Library().ioctx_destroy(ioctx_);
    Library().shutdown(cluster_);
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void Write(const std::string& object, rados_write_op_t op, std::function<void()> done) {
    rados_completion_t completion = Started(std::move(done));
    Check(Library().aio_write_op_operate(op, ioctx_, completion, object.c_str(), nullptr, 0), object);
    Library().release_write_op(op);
  }
  void WriteFull(const std::string& object, const std::string& octets, std::function<void()> done) {
    rados_write_op_t op = Library().create_write_op();
    Library().write_op_write_full(op, octets.data(), octets.size());
    Write(object, op, std::move(done));
  }
  // `octets` has to last.
  void Read(const std::string& object, std::string* octets, std::function<void()> done) {
    rados_read_op_t op = Library().create_read_op();
    auto* const outcome = new Outcome{};
    Library().read_op_read(op, 0, octets->size(), octets->data(), &outcome->octets, &outcome->result);
    rados_completion_t completion = Started([op, outcome, octets, done = std::move(done)] {
      Check(outcome->result, "read");
      if (outcome->octets != octets->size()) Die("an object is shorter than it was written");
      Library().release_read_op(op);
      delete outcome;
      done();
    });
    Check(Library().aio_read_op_operate(op, ioctx_, completion, object.c_str(), 0), object);
  }

  // Until everything that was started has ended.
  void Await() {
    absl::MutexLock lock(&mutex_);
    const auto none = [this] { return running_ == 0; };
    mutex_.Await(absl::Condition(&none));
  }

 private:
  struct Outcome {
    size_t octets;
    int result;
  };
  struct Call {
    Pool* pool;
    std::function<void()> done;
  };

  rados_completion_t Started(std::function<void()> done) {
    {
      absl::MutexLock lock(&mutex_);
      ++running_;
    }
    rados_completion_t completion;
    Library().aio_create_completion2(new Call{this, std::move(done)}, &Ended, &completion);
    return completion;
  }

  static void Ended(rados_completion_t completion, void* argument) {
    const std::unique_ptr<Call> call(static_cast<Call*>(argument));
    Check(Library().aio_get_return_value(completion), "an operation");
    Library().aio_release(completion);
    call->done();
    absl::MutexLock lock(&call->pool->mutex_);
    --call->pool->running_;
  }

  rados_t cluster_ = nullptr;
  rados_ioctx_t ioctx_ = nullptr;
  absl::Mutex mutex_;
  int running_ = 0;
};

// So many chains of operations, each begun when the one before has ended.
class Chains {
 public:
  // Starts one operation of a chain, which calls `done` once.
  using Start = std::function<void(int chain, std::function<void()> done)>;

  Chains(double seconds, Start start) : seconds_(seconds), start_(std::move(start)) {}

  void Run(int count, Pool& pool) {
    begin_ = Steady::now();
    for (int i = 0; i < count; ++i) Next(i);
    pool.Await();
    Report(latencies_.count(), latencies_, Steady::now() - begin_);
  }

 private:
  void Next(int chain) {
    const Steady::time_point began = Steady::now();
    if (Seconds(began - begin_) >= seconds_) return;
    start_(chain, [this, chain, began] {
      {
        absl::MutexLock lock(&mutex_);
        latencies_.Add(Steady::now() - began);
      }
      Next(chain);
    });
  }

  const double seconds_;
  const Start start_;
  Steady::time_point begin_;
  absl::Mutex mutex_;
  Latencies latencies_;
};

// Writes of one mailbox, one after another; those of a chain go over its share of them.
struct Mailbox {
  std::string object;
  uint64_t seq = 0;
};

void Guarded(Pool& pool, int objects, int in_flight, double seconds) {
  const std::string head = Noise(200);
  std::vector<Mailbox> mailboxes(objects);
  const auto write = [&](Mailbox& mailbox, std::function<void()> done) {
    rados_write_op_t op = Library().create_write_op();
    const std::string before = absl::StrFormat("%016x", mailbox.seq),
                      after = absl::StrFormat("%016x", ++mailbox.seq);
    if (mailbox.seq > 1) {
      Library().write_op_cmpxattr(op, "seq", LIBRADOS_CMPXATTR_OP_EQ, before.data(), before.size());
    }
    Library().write_op_setxattr(op, "seq", after.data(), after.size());
    Library().write_op_setxattr(op, "head", head.data(), head.size());
    const char *key = after.data(), *value = head.data();
    const size_t key_size = after.size(), value_size = head.size();
    Library().write_op_omap_set2(op, &key, &value, &key_size, &value_size, 1);
    pool.Write(mailbox.object, op, std::move(done));
  };
  for (int i = 0; i < objects; ++i) {
    mailboxes[i].object = absl::StrCat("mailbox.", i);
    write(mailboxes[i], [] {});
    if (i % 64 == 63) pool.Await();
  }
  pool.Await();
  std::vector<int> turns(in_flight);
  Chains chains(seconds, [&](int chain, std::function<void()> done) {
    const int of_chain = (objects - chain - 1) / in_flight + 1;
    write(mailboxes[chain + in_flight * (turns[chain]++ % of_chain)], std::move(done));
  });
  chains.Run(in_flight, pool);
}

void Bodies(Pool& pool, size_t size, int in_flight, double seconds) {
  const std::string octets = Noise(size);
  std::vector<int> turns(in_flight);
  Chains chains(seconds, [&](int chain, std::function<void()> done) {
    pool.WriteFull(absl::StrCat("body.", chain, ".", turns[chain]++), octets, std::move(done));
  });
  chains.Run(in_flight, pool);
}

void Read(Pool& pool, size_t size, int in_flight, double seconds) {
  const std::string octets = Noise(size);
  for (int i = 0; i < kReadObjects; ++i) {
    pool.WriteFull(absl::StrCat("body.", i), octets, [] {});
    if (i % 16 == 15) pool.Await();
  }
  pool.Await();
  std::vector<std::string> buffers(in_flight, std::string(size, '\0'));
  std::vector<std::minstd_rand> random;
  for (int i = 0; i < in_flight; ++i) random.emplace_back(i + 1);
  Chains chains(seconds, [&](int chain, std::function<void()> done) {
    pool.Read(absl::StrCat("body.", random[chain]() % kReadObjects), &buffers[chain], std::move(done));
  });
  chains.Run(in_flight, pool);
}

int Main(int argc, char** argv) {
  const std::string what = argc == 7 ? argv[3] : "";
  const size_t size = argc == 7 ? std::strtoul(argv[4], nullptr, 10) : 0;
  const int in_flight = argc == 7 ? std::atoi(argv[5]) : 0;
  const bool known = what == "guarded" || what == "bodies" || what == "read";
  if (!known || in_flight < 1 || (what == "guarded" && size < static_cast<size_t>(in_flight))) {
    std::fprintf(
        stderr,
        "usage: rados_load CONF POOL guarded OBJECTS IN_FLIGHT SECONDS (no more in flight than objects)\n"
        "       rados_load CONF POOL bodies|read SIZE IN_FLIGHT SECONDS\n");
    return 2;
  }
  const double seconds = std::atof(argv[6]);
  Pool pool(argv[1], argv[2]);
  if (what == "guarded") Guarded(pool, static_cast<int>(size), in_flight, seconds);
  if (what == "bodies") Bodies(pool, size, in_flight, seconds);
  if (what == "read") Read(pool, size, in_flight, seconds);
  return 0;
}

}  // namespace
}  // namespace restante::bench

int main(int argc, char** argv) { return restante::bench::Main(argc, argv); }
