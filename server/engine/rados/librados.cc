#include "server/engine/rados/librados.h"

#include <dlfcn.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"

#ifdef __SANITIZE_THREAD__
#include <memory>
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace restante::rados {
namespace {

#ifdef __SANITIZE_THREAD__
// The library is not instrumented: that a completion is behind what began its operation,
// which is what was done before the completion was made, TSan has to be told.
char operations;
int (*create_completion)(void*, rados_callback_t, rados_completion_t*);

struct Awaited {
  void* argument;
  rados_callback_t callback;
  static void Complete(rados_completion_t completion, void* self) {
    __tsan_acquire(&operations);
    const std::unique_ptr<Awaited> awaited(static_cast<Awaited*>(self));
    awaited->callback(completion, awaited->argument);
  }
};

int CreateCompletion(void* argument, rados_callback_t callback, rados_completion_t* completion) {
  auto* const awaited = new Awaited{argument, callback};
  __tsan_release(&operations);
  return create_completion(awaited, &Awaited::Complete, completion);
}
#endif

// The ABI's name since Ceph 0.48.
constexpr char kLibrary[] = "librados.so.2";

absl::StatusOr<const Librados*> LoadOnce() {
  void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("the engine `rados` needs librados (Debian: apt install librados2): ", dlerror()));
  }
  auto* const functions = new Librados();
  const char* missing = nullptr;
#define RESTANTE_LOAD(name)                                                                      \
  functions->name = reinterpret_cast<decltype(functions->name)>(dlsym(library, "rados_" #name)); \
  if (functions->name == nullptr) missing = "rados_" #name;
  RESTANTE_LIBRADOS_FUNCTIONS(RESTANTE_LOAD)
#undef RESTANTE_LOAD
  if (missing != nullptr) {
    delete functions;
    return absl::FailedPreconditionError(absl::StrCat(kLibrary, " is too old: it lacks ", missing));
  }
#ifdef __SANITIZE_THREAD__
  create_completion = functions->aio_create_completion2;
  functions->aio_create_completion2 = &CreateCompletion;
#endif
  return functions;
}

absl::StatusCode CodeOf(int result) {
  switch (-result) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case ECANCELED:
      return absl::StatusCode::kAborted;
    case ENOSPC:
    case EDQUOT:
      return absl::StatusCode::kResourceExhausted;
    case EPERM:
    case EACCES:
      return absl::StatusCode::kPermissionDenied;
    case EIO:  // Read, and nobody has a copy that is whole.
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

}  // namespace

absl::StatusOr<const Librados*> Librados::Load() {
  static const absl::StatusOr<const Librados*>* const loaded =
      new absl::StatusOr<const Librados*>(LoadOnce());
  return *loaded;
}

absl::Status ToStatus(int result, absl::string_view what) {
  if (result >= 0) return absl::OkStatus();
  return absl::Status(CodeOf(result),
                      absl::StrCat(what, ": ", std::generic_category().message(-result), " (", result, ")"));
}

}  // namespace restante::rados
