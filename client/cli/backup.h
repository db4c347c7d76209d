// restante store backup | restore
#ifndef RESTANTE_CLIENT_CLI_BACKUP_H_
#define RESTANTE_CLIENT_CLI_BACKUP_H_

#include "client/cli/context.h"

namespace restante::cli {

void AddBackupCommands(CLI::App& group, Context& context);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_BACKUP_H_
