// StoreService.Backup.
#ifndef RESTANTE_SERVER_RPC_BACKUP_CALL_H_
#define RESTANTE_SERVER_RPC_BACKUP_CALL_H_

#include <grpcpp/grpcpp.h>

#include "restante/v1/store.pb.h"
#include "server/engine/engine.h"

namespace restante::rpc {

grpc::ServerWriteReactor<v1::BackupResponse>* StartBackup(engine::Engine* engine,
                                                          const v1::BackupRequest& request);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_BACKUP_CALL_H_
