// A few threads that do what may wait for the disk.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_THREAD_POOL_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_THREAD_POOL_H_

#include <cstddef>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace restante::embedded {

class ThreadPool {
 public:
  using Job = absl::AnyInvocable<void()>;

  explicit ThreadPool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
  }
  ~ThreadPool() { Stop(); }

  // Any thread. With one thread, jobs run in the order posted. After Stop the job
  // runs at once, here.
  void Post(Job job) {
    {
      absl::MutexLock lock(&mutex_);
      if (!stopped_) {
        jobs_.push_back(std::move(job));
        return;
      }
    }
    job();
  }

  // Jobs that wait for a thread.
  size_t waiting() const {
    absl::MutexLock lock(&mutex_);
    return jobs_.size();
  }

  // Returns when all jobs are done and the threads ended. Not from a job.
  void Stop() {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    std::deque<Job> left;
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
      left.swap(jobs_);
    }
    for (Job& job : left) job();
  }

 private:
  void Run() {
    while (true) {
      Job job;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(
            +[](ThreadPool* self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(self->mutex_) {
              return self->stopping_ || !self->jobs_.empty();
            },
            this));
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job();
    }
  }

  mutable absl::Mutex mutex_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_THREAD_POOL_H_
