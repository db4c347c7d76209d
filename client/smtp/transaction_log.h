// One log line for each transaction.
#ifndef RESTANTE_CLIENT_SMTP_TRANSACTION_LOG_H_
#define RESTANTE_CLIENT_SMTP_TRANSACTION_LOG_H_

#include "client/smtp/transaction_record.h"

namespace restante::smtp {

// Logs at info; at warning when the outcome is unknown.
void LogTransaction(const TransactionRecord& record);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_TRANSACTION_LOG_H_
