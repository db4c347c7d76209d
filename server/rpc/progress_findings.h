// What a long call has to tell and has not told yet, in responses of bounded size.
// Repeated fields are findings, all else is progress (rpc/progress_call.h).
#ifndef RESTANTE_SERVER_RPC_PROGRESS_FINDINGS_H_
#define RESTANTE_SERVER_RPC_PROGRESS_FINDINGS_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <deque>
#include <utility>

namespace restante::rpc {

// Octets of one response, far below the 4 MiB that a gRPC client takes.
inline constexpr size_t kResponseOctets = 256 * 1024;
// Responses that may wait for a caller who does not read: 64 MiB.
inline constexpr size_t kMaxUntold = 256;

bool HasFindings(const google::protobuf::Message& response);
void ClearFindings(google::protobuf::Message& response);

template <typename Response>
class Untold {
 public:
  void Add(const Response& news) {
    const size_t octets = HasFindings(news) ? news.ByteSizeLong() : 0;
    if (newest_octets_ > 0 && newest_octets_ + octets > kResponseOctets) {
      responses_.push_back(Progress(responses_.back()));
      newest_octets_ = 0;
    }
    responses_.back().MergeFrom(news);
    newest_octets_ += octets;
  }

  bool Any() const { return responses_.size() > 1 || newest_octets_ > 0; }
  bool TooMany() const { return responses_.size() > kMaxUntold; }

  // The oldest findings, with the progress made by then; the newest progress if
  // there are none.
  Response Take() {
    Response taken = std::move(responses_.front());
    if (responses_.size() == 1) {
      responses_.push_back(Progress(taken));
      newest_octets_ = 0;
    }
    responses_.pop_front();
    return taken;
  }

 private:
  static Response Progress(Response response) {
    ClearFindings(response);
    return response;
  }

  std::deque<Response> responses_ = std::deque<Response>(1);  // Never empty.
  size_t newest_octets_ = 0;                                  // Of findings in the last one.
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_PROGRESS_FINDINGS_H_
