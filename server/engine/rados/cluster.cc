#include "server/engine/rados/cluster.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/base/status_macros.h"

namespace restante::rados {
namespace {

// Arrays of pointers and lengths, as librados takes many strings.
struct Strings {
  std::vector<const char*> data;
  std::vector<size_t> sizes;

  void Add(absl::string_view text) {
    // Empty views may be null, which librados does not take.
    data.push_back(text.empty() ? "" : text.data());
    sizes.push_back(text.size());
  }
};

const char* DataOf(absl::string_view text) { return text.empty() ? "" : text.data(); }

}  // namespace

// --- operations --------------------------------------------------------------------

WriteOp::WriteOp(const Librados* library) : library_(library), op_(library->create_write_op()) {}
WriteOp::~WriteOp() {
  if (op_ != nullptr) library_->release_write_op(op_);
}
WriteOp::WriteOp(WriteOp&& other) noexcept
    : library_(other.library_), op_(std::exchange(other.op_, nullptr)) {}

WriteOp& WriteOp::Create(bool exclusive) {
  library_->write_op_create(op_, exclusive ? LIBRADOS_CREATE_EXCLUSIVE : LIBRADOS_CREATE_IDEMPOTENT, nullptr);
  return *this;
}

WriteOp& WriteOp::AssertExists() {
  library_->write_op_assert_exists(op_);
  return *this;
}

WriteOp& WriteOp::CompareXattr(const char* name, absl::string_view value) {
  library_->write_op_cmpxattr(op_, name, LIBRADOS_CMPXATTR_OP_EQ, DataOf(value), value.size());
  return *this;
}

WriteOp& WriteOp::CompareOmap(absl::string_view key, absl::string_view value) {
  library_->write_op_omap_cmp2(op_, DataOf(key), LIBRADOS_CMPXATTR_OP_EQ, DataOf(value), key.size(),
                               value.size(), nullptr);
  return *this;
}

WriteOp& WriteOp::SetXattr(const char* name, absl::string_view value) {
  library_->write_op_setxattr(op_, name, DataOf(value), value.size());
  return *this;
}

WriteOp& WriteOp::SetOmap(const Rows& rows) {
  if (rows.empty()) return *this;
  Strings keys, values;
  for (const auto& [key, value] : rows) {
    keys.Add(key);
    values.Add(value);
  }
  library_->write_op_omap_set2(op_, keys.data.data(), values.data.data(), keys.sizes.data(),
                               values.sizes.data(), rows.size());
  return *this;
}

WriteOp& WriteOp::EraseOmap(const std::vector<std::string>& keys) {
  if (keys.empty()) return *this;
  Strings names;
  for (const std::string& key : keys) names.Add(key);
  library_->write_op_omap_rm_keys2(op_, names.data.data(), names.sizes.data(), keys.size());
  return *this;
}

WriteOp& WriteOp::Write(absl::string_view octets, uint64_t offset) {
  library_->write_op_write(op_, DataOf(octets), octets.size(), offset);
  return *this;
}

WriteOp& WriteOp::Remove() {
  library_->write_op_remove(op_);
  return *this;
}

// Where librados leaves what it has read.
struct ReadState {
  explicit ReadState(const Librados* l) : library(l) {}
  ~ReadState() {
    if (xattrs != nullptr) library->getxattrs_end(xattrs);
    if (omap != nullptr) library->omap_get_end(omap);
    if (rows != nullptr) library->omap_get_end(rows);
  }

  ObjectRead Take(int result) {
    ObjectRead read;
    // Where an action failed its own result says why.
    for (const int r : {result, xattrs_result, omap_result, rows_result, octets_result}) {
      if (r < 0 && read.result == 0) read.result = r;
    }
    if (read.result < 0) return read;
    if (xattrs != nullptr) {
      const char *name, *value;
      size_t size;
      while (library->getxattrs_next(xattrs, &name, &value, &size) == 0 && name != nullptr) {
        read.xattrs[name] = std::string(value, size);
      }
    }
    char *key, *value;
    size_t key_size, size;
    while (omap != nullptr && library->omap_get_next2(omap, &key, &value, &key_size, &size) == 0 &&
           key != nullptr) {
      read.omap[std::string(key, key_size)] = std::string(value, size);
    }
    while (rows != nullptr && library->omap_get_next2(rows, &key, &value, &key_size, &size) == 0 &&
           key != nullptr) {
      read.rows.emplace_back(std::string(key, key_size), std::string(value, size));
    }
    read.more = more != 0;
    octets.resize(octets_read);
    read.octets = std::move(octets);
    return read;
  }

  const Librados* const library;
  rados_xattrs_iter_t xattrs = nullptr;
  rados_omap_iter_t omap = nullptr, rows = nullptr;
  int xattrs_result = 0, omap_result = 0, rows_result = 0, octets_result = 0;
  unsigned char more = 0;
  std::string octets;
  size_t octets_read = 0;
};

ReadOp::ReadOp(const Librados* library)
    : library_(library),
      op_(library->create_read_op(), Release{library}),
      state_(std::make_shared<ReadState>(library)) {}

ReadOp& ReadOp::CompareXattr(const char* name, absl::string_view value) {
  library_->read_op_cmpxattr(op_.get(), name, LIBRADOS_CMPXATTR_OP_EQ, DataOf(value), value.size());
  return *this;
}

ReadOp& ReadOp::Xattrs() {
  library_->read_op_getxattrs(op_.get(), &state_->xattrs, &state_->xattrs_result);
  return *this;
}

ReadOp& ReadOp::Omap(const std::vector<std::string>& keys) {
  if (keys.empty()) return *this;
  Strings names;
  for (const std::string& key : keys) names.Add(key);
  library_->read_op_omap_get_vals_by_keys2(op_.get(), names.data.data(), keys.size(), names.sizes.data(),
                                           &state_->omap, &state_->omap_result);
  return *this;
}

ReadOp& ReadOp::OmapAfter(const std::string& after, const std::string& prefix, uint64_t limit) {
  library_->read_op_omap_get_vals2(op_.get(), after.c_str(), prefix.c_str(), limit, &state_->rows,
                                   &state_->more, &state_->rows_result);
  return *this;
}

ReadOp& ReadOp::Read(uint64_t offset, uint64_t length) {
  state_->octets.resize(length);
  library_->read_op_read(op_.get(), offset, length, state_->octets.data(), &state_->octets_read,
                         &state_->octets_result);
  return *this;
}

// --- calls -------------------------------------------------------------------------

struct WriteCall {
  Cluster* cluster;
  Cluster::Started::iterator started;
  absl::AnyInvocable<void(int)> done;

  static void Complete(rados_completion_t completion, void* argument) {
    std::unique_ptr<WriteCall> call(static_cast<WriteCall*>(argument));
    const int result = std::min(0, call->cluster->library()->aio_get_return_value(completion));
    call->cluster->library()->aio_release(completion);
    call->Finish(result);
  }
  void Finish(int result) {
    const int64_t answered_us = Clock::System()->MonotonicMicros();
    std::move(done)(result);
    cluster->End(started, result, answered_us, /*write=*/true);
  }
};

struct ReadCall {
  Cluster* cluster;
  Cluster::Started::iterator started;
  ReadOp op;
  absl::AnyInvocable<void(ObjectRead)> done;
  std::shared_ptr<ReadState> state;

  static void Complete(rados_completion_t completion, void* argument) {
    std::unique_ptr<ReadCall> call(static_cast<ReadCall*>(argument));
    const int result = call->cluster->library()->aio_get_return_value(completion);
    call->cluster->library()->aio_release(completion);
    call->Finish(result);
  }
  void Finish(int result) {
    const int64_t answered_us = Clock::System()->MonotonicMicros();
    std::move(done)(state->Take(result));
    cluster->End(started, result, answered_us, /*write=*/false);
  }
};

Pool::~Pool() { cluster_->library()->ioctx_destroy(ioctx_); }

WriteOp Pool::NewWrite() const { return WriteOp(cluster_->library()); }
ReadOp Pool::NewRead() const { return ReadOp(cluster_->library()); }

void Pool::Write(const std::string& object, WriteOp op, bool frees, absl::AnyInvocable<void(int)> done) {
  const Librados& library = *cluster_->library();
  auto call = std::make_unique<WriteCall>(WriteCall{cluster_, cluster_->Begin(), std::move(done)});
  rados_completion_t completion;
  library.aio_create_completion2(call.get(), &WriteCall::Complete, &completion);
  const int flags = frees ? LIBRADOS_OPERATION_FULL_FORCE : LIBRADOS_OPERATION_FULL_TRY;
  const int result = library.aio_write_op_operate(op.op_, ioctx_, completion, object.c_str(), nullptr, flags);
  if (result == 0) {
    call.release();
    return;
  }
  library.aio_release(completion);
  call->Finish(result);
}

void Pool::Read(const std::string& object, ReadOp op, absl::AnyInvocable<void(ObjectRead)> done) {
  const Librados& library = *cluster_->library();
  std::shared_ptr<ReadState> state = op.state_;
  auto call = std::make_unique<ReadCall>(
      ReadCall{cluster_, cluster_->Begin(), std::move(op), std::move(done), std::move(state)});
  const rados_read_op_t operation = call->op.op_.get();
  rados_completion_t completion;
  library.aio_create_completion2(call.get(), &ReadCall::Complete, &completion);
  const int result = library.aio_read_op_operate(operation, ioctx_, completion, object.c_str(), 0);
  if (result == 0) {
    call.release();
    return;
  }
  library.aio_release(completion);
  call->Finish(result);
}

Await<int> Pool::Write(const std::string& object, WriteOp op, bool frees) {
  return Await<int>([this, object, op = std::move(op), frees](auto done) mutable {
    Write(object, std::move(op), frees, std::move(done));
  });
}

Await<ObjectRead> Pool::Read(const std::string& object, ReadOp op) {
  return Await<ObjectRead>([this, object, op = std::move(op)](auto done) mutable {
    Read(object, std::move(op), std::move(done));
  });
}

absl::Status Pool::List(const std::function<void(absl::string_view name)>& each) {
  const Librados& library = *cluster_->library();
  rados_list_ctx_t context;
  if (const int result = library.nobjects_list_open(ioctx_, &context); result < 0) {
    return ToStatus(result, "listing a pool");
  }
  while (true) {
    const char *name, *key, *name_space;
    size_t size, key_size, name_space_size;
    const int result =
        library.nobjects_list_next2(context, &name, &key, &name_space, &size, &key_size, &name_space_size);
    if (result < 0) {
      library.nobjects_list_close(context);
      return result == -ENOENT ? absl::OkStatus() : ToStatus(result, "listing a pool");
    }
    each(absl::string_view(name, size));
  }
}

// --- the cluster -------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Connect(const ClusterOptions& options) {
  ASSIGN_OR_RETURN(const Librados* const library, Librados::Load());
  rados_t handle;
  const std::string user = absl::StrCat("client.", options.user);
  if (const int result = library->create2(&handle, "ceph", user.c_str(), 0); result < 0) {
    return ToStatus(result, absl::StrCat("librados, for ", user));
  }
  // Shut down, also before it was connected.
  std::unique_ptr<Cluster> cluster(new Cluster(library, options, handle));
  if (const int result = library->conf_read_file(handle, options.conf.c_str()); result < 0) {
    return ToStatus(result, absl::StrCat("--ceph-conf `", options.conf, "`"));
  }
  const std::string seconds = absl::StrCat(options.connect_seconds);
  library->conf_set(handle, "client_mount_timeout", seconds.c_str());
  if (!options.keyring.empty()) library->conf_set(handle, "keyring", options.keyring.c_str());
  // A time-out would not be a "no". Monitors are asked, and told nothing but what may be
  // told again.
  library->conf_set(handle, "rados_osd_op_timeout", "0");
  library->conf_set(handle, "rados_mon_op_timeout", seconds.c_str());
  if (const int result = library->connect(handle); result < 0) {
    const absl::Status status =
        ToStatus(result, absl::StrCat("Ceph cluster of `", options.conf, "` as ", user));
    if (result == -ETIMEDOUT) {
      return absl::UnavailableError(
          absl::StrCat(status.message(), ": no monitor answered within ", seconds, " seconds"));
    }
    if (result == -ENOENT || result == -EPERM || result == -EACCES) {
      return absl::PermissionDeniedError(absl::StrCat(status.message(), ": no key, or not the cluster's"));
    }
    return status;
  }
  return cluster;
}

Cluster::~Cluster() {
  AwaitIdle();
  library_->shutdown(handle_);
}

void Cluster::AwaitIdle() {
  absl::MutexLock lock(&mutex_);
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return started_.empty(); };
  mutex_.Await(absl::Condition(&idle));
}

absl::StatusOr<std::unique_ptr<Pool>> Cluster::OpenPool(const std::string& name) {
  rados_ioctx_t ioctx;
  if (const int result = library_->ioctx_create(handle_, name.c_str(), &ioctx); result < 0) {
    if (result == -ENOENT) return absl::NotFoundError(absl::StrCat("there is no pool `", name, "`"));
    return ToStatus(result, absl::StrCat("pool `", name, "`"));
  }
  library_->ioctx_set_namespace(ioctx, options_.name_space.c_str());
  return std::make_unique<Pool>(this, ioctx);
}

Cluster::Started::iterator Cluster::Begin() {
  const int64_t now = Clock::System()->MonotonicMicros();
  absl::MutexLock lock(&mutex_);
  return started_.insert(started_.end(), now);
}

void Cluster::End(Started::iterator operation, int result, int64_t answered_us, bool write) {
  if (result == -ESHUTDOWN) fenced_ = true;  // EBLOCKLISTED is its other name.
  absl::MutexLock lock(&mutex_);
  (write ? write_seconds_ : read_seconds_).Observe(static_cast<double>(answered_us - *operation) * 1e-6);
  started_.erase(operation);
}

std::vector<double> Cluster::Bounds() {
  return {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30};
}

Histogram::Values Cluster::write_seconds() const {
  absl::MutexLock lock(&mutex_);
  return write_seconds_.Read();
}

Histogram::Values Cluster::read_seconds() const {
  absl::MutexLock lock(&mutex_);
  return read_seconds_.Read();
}

int64_t Cluster::WaitingMicros() const {
  const int64_t now = Clock::System()->MonotonicMicros();
  absl::MutexLock lock(&mutex_);
  return started_.empty() ? 0 : now - started_.front();
}

}  // namespace restante::rados
