#include "server/access/authorizer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/mail/errors.h"
#include "server/mail/names.h"

namespace restante::access {
namespace {

absl::Status Unauthenticated(absl::string_view text) {
  return mail::Error(absl::StatusCode::kUnauthenticated, "UNAUTHENTICATED", "", text);
}

absl::Status PermissionDenied(absl::string_view reason, absl::string_view resource, absl::string_view text) {
  return mail::Error(absl::StatusCode::kPermissionDenied, reason, resource, text);
}

CallerPtr Anonymous() {
  static const CallerPtr anonymous =
      std::make_shared<const Caller>(Caller{"anonymous", Roles::All(), std::nullopt});
  return anonymous;
}

}  // namespace

absl::Status Grant::CheckDomain(absl::string_view domain) const {
  if (caller_->MayTouch(domain)) return absl::OkStatus();
  return authorizer_->Deny(
      *this, PermissionDenied("DOMAIN_DENIED", mail::DomainName(domain),
                              absl::StrCat("caller ", caller_->name, " is restricted to other domains")));
}

absl::Status Grant::CheckRole(Role role, absl::string_view what) const {
  if (caller_->roles.Intersects(role)) return absl::OkStatus();
  return authorizer_->Deny(
      *this, PermissionDenied("ROLE_MISSING", method_,
                              absl::StrCat(what, " needs the role ", Roles(role).ToString(), ", caller ",
                                           caller_->name, " has ", caller_->roles.ToString())));
}

absl::Status Grant::DenyWholeStore() const {
  return authorizer_->Deny(*this,
                           PermissionDenied("DOMAIN_DENIED", method_,
                                            absl::StrCat("concerns the whole store, caller ", caller_->name,
                                                         " is restricted to some domains")));
}

absl::Status Grant::Renew() {
  if (generation_ == authorizer_->generation_.load(std::memory_order_acquire)) return absl::OkStatus();
  return authorizer_->Decide(*this);
}

Authorizer::Authorizer(const Clock* clock) : watch_({}), denials_(clock) {}

Authorizer::Authorizer(std::string file, bool certificates_are_asked_for, const Clock* clock)
    : file_(std::move(file)),
      certificates_are_asked_for_(certificates_are_asked_for),
      watch_({file_}),
      denials_(clock) {}

absl::StatusOr<std::unique_ptr<Authorizer>> Authorizer::Load(std::string file,
                                                             bool certificates_are_asked_for,
                                                             const Clock* clock) {
  std::unique_ptr<Authorizer> authorizer(new Authorizer(std::move(file), certificates_are_asked_for, clock));
  RETURN_IF_ERROR(authorizer->Read());
  return authorizer;
}

absl::StatusOr<Grant> Authorizer::Authorize(absl::string_view method, Rule rule, Credentials credentials,
                                            std::string peer) {
  Grant grant;
  grant.authorizer_ = this;
  grant.method_ = std::string(absl::StripPrefix(method, "/"));
  grant.rule_ = rule;
  grant.credentials_ = std::move(credentials);
  grant.peer_ = std::move(peer);
  RETURN_IF_ERROR(Decide(grant));
  return grant;
}

absl::Status Authorizer::Decide(Grant& grant) {
  // Before the callers: if they change in between, the next Renew looks again.
  const uint64_t generation = generation_.load(std::memory_order_acquire);
  grant.generation_ = 0;
  if (file_.empty()) {
    grant.caller_ = Anonymous();
  } else {
    std::shared_ptr<const Callers> callers;
    {
      absl::MutexLock lock(&mutex_);
      callers = callers_;
    }
    absl::StatusOr<CallerPtr> caller = Identify(grant.credentials_, *callers);
    if (!caller.ok()) return Deny(grant, caller.status());
    grant.caller_ = *std::move(caller);
  }
  const Caller& caller = *grant.caller_;
  if (!caller.roles.Intersects(grant.rule_.roles)) {
    return Deny(grant,
                PermissionDenied("ROLE_MISSING", grant.method_,
                                 absl::StrCat("needs the role ", grant.rule_.roles.ToString(), ", caller ",
                                              caller.name, " has ", caller.roles.ToString())));
  }
  if (grant.rule_.scope == Scope::kStore && caller.restricted()) return grant.DenyWholeStore();
  grant.generation_ = generation;
  return absl::OkStatus();
}

absl::StatusOr<CallerPtr> Authorizer::Identify(const Credentials& credentials, const Callers& callers) const {
  if (credentials.malformed) {
    return Unauthenticated("the metadata `authorization` is not `Bearer` and a token");
  }
  if (credentials.token.has_value()) {
    CallerPtr caller = callers.FindByToken(*credentials.token);
    if (caller == nullptr) return Unauthenticated("the token is no caller's");
    return caller;
  }
  if (credentials.certificate_names.empty()) {
    return Unauthenticated("needs a client certificate or a bearer token");
  }
  CallerPtr caller = callers.FindByCertificate(credentials.certificate_names);
  if (caller == nullptr) {
    return Unauthenticated(
        absl::StrCat("the certificate of `", credentials.certificate_names.front(), "` is no caller's"));
  }
  return caller;
}

absl::Status Authorizer::Deny(const Grant& grant, absl::Status why) {
  (absl::IsUnauthenticated(why) ? unauthenticated_ : permission_denied_)
      .fetch_add(1, std::memory_order_relaxed);
  // An unknown caller's name would be that of an earlier time.
  const bool known = grant.caller_ != nullptr && !absl::IsUnauthenticated(why);
  denials_.Say(known ? grant.caller_->name : "", grant.peer_, grant.method_, why.message());
  return why;
}

absl::Status Authorizer::Read() {
  watch_.Reading();
  ASSIGN_OR_RETURN(Callers callers, Callers::Load(file_));
  const size_t count = callers.size();
  if (const size_t shut_out = callers.with_certificates_only();
      shut_out > 0 && !certificates_are_asked_for_) {
    Log(LogLevel::kWarning,
        "callers who have only a certificate cannot call: nobody is asked for one without --tls-client-ca",
        {{"file", file_}, {"callers", shut_out}});
  }
  {
    absl::MutexLock lock(&mutex_);
    callers_ = std::make_shared<const Callers>(std::move(callers));
  }
  generation_.fetch_add(1, std::memory_order_release);
  Log(LogLevel::kInfo, "callers loaded", {{"file", file_}, {"callers", count}});
  return absl::OkStatus();
}

void Authorizer::Reload() {
  if (file_.empty()) return;
  if (const absl::Status status = Read(); !status.ok()) {
    Log(LogLevel::kError, "the callers stay as they were", {{"reason", status.message()}});
  }
}

void Authorizer::ReloadIfChanged() {
  if (!file_.empty() && watch_.Changed()) Reload();
}

Authorizer::Counts Authorizer::denied() const {
  return {unauthenticated_.load(std::memory_order_relaxed),
          permission_denied_.load(std::memory_order_relaxed)};
}

}  // namespace restante::access
