// What a connection tells whoever has it.
#ifndef RESTANTE_CLIENT_LIB_CONNECTION_OWNER_H_
#define RESTANTE_CLIENT_LIB_CONNECTION_OWNER_H_

#include <string>

namespace restante::client_internal {

class Connection;

// What may be expected of a store: the more, the greater.
enum class Condition {
  kAway,
  kDraining,    // Refuses new transactions, for it is about to end.
  kConnecting,  // At first, and after a loss.
  kSilent,      // Connected, but it has not answered for a while.
  kReady,
};

// Any thread; called under no lock of the connection's.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;

  // A connection's condition has changed.
  virtual void OnCondition() = 0;
  // The store has answered a Commit with Receipts.
  virtual void OnReceipts(Connection* connection, const std::string& transaction_id) = 0;
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_CONNECTION_OWNER_H_
