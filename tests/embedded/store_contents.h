// Everything that a store shows through the engine port, as text.
#ifndef RESTANTE_TESTS_EMBEDDED_STORE_CONTENTS_H_
#define RESTANTE_TESTS_EMBEDDED_STORE_CONTENTS_H_

#include <string>
#include <vector>

#include "server/engine/engine.h"

namespace restante::embedded {

// One line for each head, key, body and receipt, in a fixed order: two stores
// with the same lines hold the same. Bodies are read whole; instead of their
// octets stand size and CRC32C. Of receipts those of `receipts` are shown.
std::vector<std::string> ContentsOf(engine::Engine& engine,
                                    const std::vector<engine::TransactionId>& receipts);

// The ids of the receipts that such lines show.
std::vector<engine::TransactionId> ReceiptsIn(const std::vector<std::string>& contents);

// What mail::Verify finds.
std::vector<std::string> VerifyMail(engine::Engine& engine);

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_STORE_CONTENTS_H_
