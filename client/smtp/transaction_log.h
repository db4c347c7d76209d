// One log line for each transaction, and few for commands that were wrong.
#ifndef RESTANTE_CLIENT_SMTP_TRANSACTION_LOG_H_
#define RESTANTE_CLIENT_SMTP_TRANSACTION_LOG_H_

#include "client/smtp/command_error.h"
#include "client/smtp/transaction_record.h"

namespace restante::smtp {

// Logs at info; at warning when the outcome is unknown.
void LogTransaction(const TransactionRecord& record);

// Logs at info the first error of a session and one that ends it, with their
// number; the others at debug.
void LogError(const CommandError& error);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_TRANSACTION_LOG_H_
