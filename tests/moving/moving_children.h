// Moves in processes of their own, which are killed on the way.
#ifndef RESTANTE_TESTS_MOVING_MOVING_CHILDREN_H_
#define RESTANTE_TESTS_MOVING_MOVING_CHILDREN_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "tests/moving/moving_store.h"

namespace restante::moving {

// Runs a move (move_child.cc) that is killed at step number `kill_at`; returns how it ended.
int MoveAndKill(const std::string& from, const std::string& to, int kill_at);

// What was acknowledged: deliveries by mailbox.
using Acknowledged = std::map<uint64_t, std::set<uint64_t>>;

// Serves a store and moves it (online_child.cc), killed at a step; empty: to its end.
int ServeAndMove(const std::string& from, const std::string& to, uint64_t first_tx, const std::string& step,
                 Acknowledged* acknowledged);

// All of it is there, once, octet by octet; what else is there nobody was told of.
void ExpectAll(const std::string& place, const Acknowledged& acknowledged);

bool IsServed(const std::string& place, engine::stored::House::State* state);

}  // namespace restante::moving

#endif  // RESTANTE_TESTS_MOVING_MOVING_CHILDREN_H_
