// What a scrub found, in words.
#ifndef RESTANTE_CLIENT_CLI_DAMAGE_H_
#define RESTANTE_CLIENT_CLI_DAMAGE_H_

#include <string>
#include <vector>

#include "restante/v1/store.pb.h"

namespace restante::cli {

// A line for each message that is lost with it, or one if none is:
// `alice@example.org UID 3 cannot be read: FILE: damaged at 64: ...`.
std::vector<std::string> DamageLines(const v1::Damage& damage);
// A JSON object.
std::string DamageJson(const v1::Damage& damage);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_DAMAGE_H_
