#include "client/smtp/unproven_replies.h"

namespace restante::smtp {

void UnprovenReplies::Add(Reply reply) {
  if (waiting_.size() >= kMax) HandOverFirst();
  waiting_.push_back({std::move(reply)});
}

void UnprovenReplies::Written(size_t unread, bool ended) {
  for (Waiting& waiting : waiting_) {
    if (std::exchange(waiting.written, true)) continue;
    waiting.proven_above = ended ? UINT64_MAX : received_ + unread;
  }
}

void UnprovenReplies::Received(size_t octets) {
  received_ += octets;
  while (!waiting_.empty() && waiting_.front().written && received_ > waiting_.front().proven_above) {
    HandOverFirst();
  }
}

void UnprovenReplies::Ended(bool acknowledged) {
  while (acknowledged && !waiting_.empty() && waiting_.front().written &&
         waiting_.front().proven_above != UINT64_MAX) {
    HandOverFirst();
  }
}

void UnprovenReplies::HandOverFirst() {
  Reply reply = std::move(waiting_.front().reply);
  waiting_.pop_front();
  hand_over_(std::move(reply));
}

}  // namespace restante::smtp
