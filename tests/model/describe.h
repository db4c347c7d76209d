// Answers as text, the same for both engines: without the numbers that a store
// gives in the order in which clients happen to come (partitions, bodies,
// UIDVALIDITYs, and etags, which are made of them).
#ifndef RESTANTE_TESTS_MODEL_DESCRIBE_H_
#define RESTANTE_TESTS_MODEL_DESCRIBE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "restante/v1/delivery.pb.h"
#include "server/mail/audit.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"

namespace restante::model {

std::string Describe(const absl::Status& status);
std::string Describe(v1::Answer answer);
std::string Describe(const v1::Decision& decision);
std::string Describe(const v1::GetReceiptResponse& response);
std::string Describe(const mail::DomainView& view);
std::string Describe(const mail::MailboxView& view);
std::string Describe(const mail::AliasView& view);
std::string Describe(const mail::MessageView& view);
std::string Describe(const mail::EntrySums& sums);
std::string Describe(const mail::Audit& audit);
inline std::string Describe(const std::string& text) { return text; }

template <typename T>
std::string Describe(const mail::Page<T>& page) {
  std::string text;
  for (const T& item : page.items) text += Describe(item) + "\n";
  return text + "next: " + page.next;
}

template <typename T>
std::string Describe(const absl::StatusOr<T>& result) {
  return result.ok() ? Describe(*result) : Describe(result.status());
}

// The first line in which two texts differ, of both; empty if none does.
std::string Difference(const std::string& embedded, const std::string& memory);

}  // namespace restante::model

#endif  // RESTANTE_TESTS_MODEL_DESCRIBE_H_
