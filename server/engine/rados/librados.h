// librados' C API, loaded when it is first needed: a store without a cluster, and its
// small image, do not depend on it.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_LIBRADOS_H_
#define RESTANTE_SERVER_ENGINE_RADOS_LIBRADOS_H_

#include <rados/librados.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Each function that we call, without its prefix `rados_`.
// clang-format off
#define RESTANTE_LIBRADOS_FUNCTIONS(X)                                                                       \
  X(create2)                                                                                                 \
  X(conf_read_file)                                                                                          \
  X(conf_set)                                                                                                \
  X(connect)                                                                                                 \
  X(shutdown)                                                                                                \
  X(cluster_fsid)                                                                                            \
  X(get_instance_id)                                                                                         \
  X(mon_command)                                                                                             \
  X(buffer_free)                                                                                             \
  X(pool_lookup)                                                                                             \
  X(cluster_stat)                                                                                            \
  X(ioctx_create)                                                                                            \
  X(ioctx_destroy)                                                                                           \
  X(ioctx_set_namespace)                                                                                     \
  X(ioctx_get_id)                                                                                            \
  X(ioctx_pool_stat)                                                                                         \
  X(application_list)                                                                                        \
  X(application_metadata_get)                                                                                \
  X(read) X(getxattr) X(aio_create_completion2) X(aio_release) X(aio_get_return_value) X(aio_flush)          \
      X(aio_write_op_operate) X(aio_read_op_operate) X(create_write_op) X(release_write_op)                  \
          X(write_op_set_flags) X(write_op_create) X(write_op_assert_exists) X(write_op_cmpxattr)            \
              X(write_op_omap_cmp2) X(write_op_setxattr) X(write_op_rmxattr) X(write_op_write)               \
                  X(write_op_write_full) X(write_op_remove) X(write_op_omap_set2) X(write_op_omap_rm_keys2)  \
                      X(write_op_omap_clear) X(write_op_operate) X(create_read_op) X(release_read_op)        \
                          X(read_op_assert_exists) X(read_op_cmpxattr) X(read_op_getxattrs) X(read_op_read)  \
                              X(read_op_omap_get_vals2) X(read_op_omap_get_vals_by_keys2) X(read_op_operate) \
                                  X(getxattrs_next) X(getxattrs_end) X(omap_get_next2) X(omap_get_end)       \
                                      X(nobjects_list_open) X(nobjects_list_next2) X(nobjects_list_close)    \
                                          X(object_list_begin) X(object_list_end) X(object_list_is_end)      \
                                              X(object_list_cursor_free) X(object_list) X(object_list_free)  \
                                                  X(aio_watch2) X(aio_unwatch) X(aio_notify) X(notify_ack)
// clang-format on

namespace restante::rados {

struct Librados {
#define RESTANTE_MEMBER(name) decltype(&::rados_##name) name = nullptr;
  RESTANTE_LIBRADOS_FUNCTIONS(RESTANTE_MEMBER)
#undef RESTANTE_MEMBER

  // The library, for the life of the process. kFailedPrecondition: it is not there, or
  // lacks a function.
  static absl::StatusOr<const Librados*> Load();
};

// The status of a librados result, 0 or a negative errno: kOk, kNotFound (ENOENT),
// kAlreadyExists (EEXIST), kAborted (ECANCELED: a guard did not hold), kResourceExhausted
// (ENOSPC, EDQUOT), kPermissionDenied, kDataLoss (EIO), else kUnavailable. `what` is in front of the text.
absl::Status ToStatus(int result, absl::string_view what);

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_LIBRADOS_H_
