#include "server/engine/rados/librados.h"

#include <dlfcn.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace restante::rados {
namespace {

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
