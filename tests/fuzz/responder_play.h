// What a responder of client/policy says to octets that come in pieces.
#ifndef RESTANTE_TESTS_FUZZ_RESPONDER_PLAY_H_
#define RESTANTE_TESTS_FUZZ_RESPONDER_PLAY_H_

#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/policy/responder.h"
#include "tests/fuzz/check.h"
#include "tests/smtp/fake_store.h"

namespace restante::fuzz {

struct Said {
  // One for each request.
  std::vector<std::string> replies;
  // What ended it; empty if only the octets did.
  std::string error;
};

// In pieces of `sizes` octets in turn; at once if there are none.
template <typename Responder>
Said PlayResponder(absl::string_view octets, const std::vector<size_t>& sizes, bool store_is_away) {
  smtp::FakeStore store;
  store.recipients["full@b"] = v1::OUTCOME_MAILBOX_FULL;
  store.recipients["none@b"] = v1::OUTCOME_NO_SUCH_MAILBOX;
  store.away = store_is_away;
  policy::Host host;
  host.store = &store;
  host.nobody = "nobody-at-all";
  host.on_refusal = [](const policy::Refusal&) {};
  host.on_unavailable = [](const absl::Status&) {};
  Responder responder(&host);
  Said said;
  size_t turn = 0;
  while (!octets.empty()) {
    absl::string_view piece = octets.substr(0, sizes.empty() ? octets.size() : sizes[turn++ % sizes.size()]);
    octets.remove_prefix(piece.size());
    while (!piece.empty()) {
      const absl::StatusOr<size_t> used = responder.Consume(piece);
      if (!used.ok()) {
        said.error = std::string(used.status().message());
        Check(!said.error.empty(), "an error says what is wrong");
        return said;
      }
      Check(*used <= piece.size(), "no more is taken than is given");
      Check(*used == piece.size() || responder.complete(), "all is taken up to the end of a request");
      piece.remove_prefix(*used);
      if (!responder.complete()) continue;
      const size_t before = said.replies.size();
      responder.Answer([&said](std::string reply) { said.replies.push_back(std::move(reply)); });
      store.Drain();
      Check(said.replies.size() == before + 1, "a request gets one reply");
      Check(!responder.complete(), "and is then over");
    }
  }
  return said;
}

// At once and in pieces, which must be the same. Returns the replies.
template <typename Responder>
std::vector<std::string> PlayBothWays(absl::string_view octets, const std::vector<size_t>& sizes,
                                      bool store_is_away) {
  const Said whole = PlayResponder<Responder>(octets, {}, store_is_away);
  const Said split = PlayResponder<Responder>(octets, sizes, store_is_away);
  Check(whole.replies == split.replies, "however it is split, the replies are the same", octets);
  CheckEqual(whole.error, split.error, "and so is what is wrong");
  return whole.replies;
}

// One input of a fuzzer: whether the store is away, how the octets are cut, and they.
// Each reply goes to `check`.
template <typename Responder>
void FuzzResponder(const uint8_t* data, size_t size, void (*check)(const std::string& reply)) {
  FuzzedDataProvider from(data, size);
  const bool away = from.ConsumeBool();
  std::vector<size_t> sizes(from.ConsumeIntegralInRange<size_t>(1, 4));
  for (size_t& one : sizes) one = from.ConsumeIntegralInRange<size_t>(1, 100);
  const std::string octets = from.ConsumeRemainingBytesAsString();
  for (const std::string& reply : PlayBothWays<Responder>(octets, sizes, away)) check(reply);
}

}  // namespace restante::fuzz

#endif  // RESTANTE_TESTS_FUZZ_RESPONDER_PLAY_H_
