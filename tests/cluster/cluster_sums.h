// What a store's objects say when they are counted anew, without any engine.
#ifndef RESTANTE_TESTS_CLUSTER_CLUSTER_SUMS_H_
#define RESTANTE_TESTS_CLUSTER_CLUSTER_SUMS_H_

#include <string>
#include <vector>

namespace restante::rados {

// What is not exact, or not ended, among the mailboxes and domains of a namespace, one
// line each:
//   used = the sum of the entries, reserved = the sum of the reservations;
//   nothing is reserved, for all deliveries have ended;
//   references = the entries that name a body;
//   used + reserved <= the mailbox's grant <= what the domain says to have granted it;
//   granted = the sum of what the domain says so <= the domain's limit.
// Objects are read one after another: whatever is written meanwhile may be reported.
std::vector<std::string> Inexact(const std::string& conf, const std::string& name_space);

}  // namespace restante::rados

#endif  // RESTANTE_TESTS_CLUSTER_CLUSTER_SUMS_H_
