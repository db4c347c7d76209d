// Decides whether a call may be made, before its handler runs.
//
//     absl::StatusOr<Grant> grant = authorizer.Authorize(method, rule, credentials, peer);
//     if (!grant.ok()) return grant.status();           // UNAUTHENTICATED, PERMISSION_DENIED
//     ... grant->CheckDomain(domain) ...                // for each domain that the request names
//     ... grant->Renew() ...                            // now and then, in a call that goes on and on
//
// A token counts before a certificate, and one that is of no use refuses the call:
// nobody falls back to rights that he did not ask for. Whatever is refused is
// logged with who, whence, what and why (DenialLog), and counted.
#ifndef RESTANTE_SERVER_ACCESS_AUTHORIZER_H_
#define RESTANTE_SERVER_ACCESS_AUTHORIZER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/access/caller.h"
#include "server/access/callers.h"
#include "server/access/credentials.h"
#include "server/access/denial_log.h"
#include "server/access/role.h"
#include "server/base/clock.h"
#include "server/base/file_watch.h"

namespace restante::access {

class Authorizer;

// The right to one call. One thread at a time; not to outlive its Authorizer.
class Grant {
 public:
  const Caller& caller() const { return *caller_; }
  const CallerPtr& shared_caller() const { return caller_; }
  const Rule& rule() const { return rule_; }
  const std::string& peer() const { return peer_; }

  // kPermissionDenied unless the caller may touch the canonical `domain`.
  absl::Status CheckDomain(absl::string_view domain) const;

  // For what needs another role than the call itself, and is named by `what`:
  // kPermissionDenied unless the caller has it.
  absl::Status CheckRole(Role role, absl::string_view what) const;

  // kPermissionDenied for a call that turns out to concern all domains.
  absl::Status DenyWholeStore() const;

  // Whether the call would still be allowed; costs next to nothing while the
  // callers are what they were. Domains are the new ones afterwards.
  absl::Status Renew();

 private:
  friend class Authorizer;
  Grant() = default;

  Authorizer* authorizer_ = nullptr;
  std::string method_;
  Rule rule_;
  Credentials credentials_;
  std::string peer_;
  CallerPtr caller_;
  uint64_t generation_ = 0;
};

// Any thread, but for the reloads: one.
class Authorizer {
 public:
  struct Counts {
    uint64_t unauthenticated = 0;
    uint64_t permission_denied = 0;
  };

  // Without credentials: everyone is `anonymous` and has every role.
  explicit Authorizer(const Clock* clock);
  // For the callers of `file`, and nobody else. Where the listener asks nobody for a
  // certificate, a warning says so if there are callers who only have one. Errors: as
  // Callers::Load.
  static absl::StatusOr<std::unique_ptr<Authorizer>> Load(std::string file, bool certificates_are_asked_for,
                                                          const Clock* clock);

  // `method` is gRPC's, `/package.Service/Method`; `peer` the address of the other
  // end, for the log. kUnauthenticated: no caller is known by these credentials;
  // kPermissionDenied: one is, and lacks the role or is restricted to some domains.
  // With details (mail/errors.h): UNAUTHENTICATED, ROLE_MISSING, DOMAIN_DENIED.
  absl::StatusOr<Grant> Authorize(absl::string_view method, Rule rule, Credentials credentials,
                                  std::string peer);

  // Reads the file again. If it is of no use the callers stay, and the reason is
  // logged.
  void Reload();
  // The same once the file has changed; to be called now and then.
  void ReloadIfChanged();

  Counts denied() const;

 private:
  friend class Grant;

  Authorizer(std::string file, bool certificates_are_asked_for, const Clock* clock);

  absl::Status Read();
  // Finds the caller of `grant` and whether it may call.
  absl::Status Decide(Grant& grant);
  absl::StatusOr<CallerPtr> Identify(const Credentials& credentials, const Callers& callers) const;
  // Logs and counts.
  absl::Status Deny(const Grant& grant, absl::Status why);

  const std::string file_;  // Empty without credentials.
  const bool certificates_are_asked_for_ = false;
  FileWatch watch_;
  DenialLog denials_;
  std::atomic<uint64_t> unauthenticated_ = 0;
  std::atomic<uint64_t> permission_denied_ = 0;
  std::atomic<uint64_t> generation_ = 1;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Callers> callers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::access

#endif  // RESTANTE_SERVER_ACCESS_AUTHORIZER_H_
