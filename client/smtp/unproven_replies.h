// Replies that say that a message is stored, and may not have reached the sender
// (RFC 1047).
#ifndef RESTANTE_CLIENT_SMTP_UNPROVEN_REPLIES_H_
#define RESTANTE_CLIENT_SMTP_UNPROVEN_REPLIES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace restante::smtp {

// A reply has reached the sender when it speaks again, or ends after it had
// acknowledged all of it. What it had sent before the reply was written proves
// nothing: a client may pipeline QUIT, or its next message, behind the dot
// (RFC 2920, 3.1). What is never proven is never handed over; then a retry comes,
// or the store forgets.
class UnprovenReplies {
 public:
  struct Reply {
    std::string transaction_id;
    std::vector<std::string> mailboxes;
  };
  // More than these at a time count as proven, the oldest first: a message that is
  // stored twice is better than memory without bound.
  static constexpr size_t kMax = 100;

  // `hand_over` is called once for each reply that is proven.
  explicit UnprovenReplies(std::function<void(Reply)> hand_over) : hand_over_(std::move(hand_over)) {}

  // A reply was put out, but is not written yet.
  void Add(Reply reply);
  // All that was put out is written. `unread` octets of the peer were there before
  // the last of it and are still to come as Received; `ended`: its end, too.
  void Written(size_t unread, bool ended);
  // Octets of the peer have come.
  void Received(size_t octets);
  // Its end has come; whether it had acknowledged all that was written.
  void Ended(bool acknowledged);

  bool empty() const { return waiting_.empty(); }

 private:
  struct Waiting {
    Reply reply;
    bool written = false;
    // When more than this has been received it is proven; UINT64_MAX: never.
    uint64_t proven_above = 0;
  };
  void HandOverFirst();

  const std::function<void(Reply)> hand_over_;
  uint64_t received_ = 0;
  std::deque<Waiting> waiting_;  // Oldest first.
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_UNPROVEN_REPLIES_H_
