// What a failed sync of the log leaves to the next process.
//
// After a failed sync nobody knows what of the file is on the disk. This process
// writes to another file; but if it ends before it could, the next one reads from
// the system's cache what may be nowhere else, and its own sync of that file would
// succeed and prove nothing. So a file notes it, and the next start writes the
// segment anew instead of believing it.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_UNSYNCED_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_UNSYNCED_H_

#include "absl/status/status.h"
#include "server/engine/embedded/data_dir.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

// That a sync of the newest segments failed. (Not synced: a power cut takes the
// cache with it, and then what is read is on the disk.)
void NoteUnsynced(Files& files, const DataDir& directory);
// The log goes on in a segment that is synced.
void ForgetUnsynced(Files& files, const DataDir& directory);

// At the start, before the log is read: if it was noted, copies the newest segment,
// syncs the copy and puts it in the segment's place.
absl::Status RewriteUnsynced(Files& files, const DataDir& directory);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_UNSYNCED_H_
