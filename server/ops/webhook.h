// Posts every event to a URL of the operator's.
//
// One request an event, in order: POST, application/json, the body is a
// restante.v1.StoreEvent in protobuf's JSON (names as in the .proto; numbers of 64
// bits are strings). Any 2xx is an answer; with anything else, or none in time, the same
// event is posted again, at longer and longer intervals, for as long as it is kept. So
// one may come twice: `sequence` tells.
//
// With a secret each request has the header
//     Restante-Signature: t=UNIXTIME,v1=HEX
// where HEX is the HMAC-SHA256 of `UNIXTIME.BODY` under the secret, in lower case. A
// receiver computes it anew, compares in constant time, and refuses what is old.
#ifndef RESTANTE_SERVER_OPS_WEBHOOK_H_
#define RESTANTE_SERVER_OPS_WEBHOOK_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/mail/event_consumer.h"
#include "server/mail/event_feed.h"

namespace restante::ops {

// `t=UNIXTIME,v1=HEX`
std::string WebhookSignature(absl::string_view secret, int64_t unix_time, absl::string_view body);

// As it is posted.
std::string WebhookBody(const engine::stored::Event& event);

// kInvalidArgument: it is not http://HOST[:PORT][/PATH] or the same with https.
absl::Status CheckWebhookUrl(absl::string_view url);

class Webhook {
 public:
  struct Options {
    std::string url;
    // Authorities that an https server is believed by, PEM; empty: the system's.
    std::string ca_file;
    // Its first line is the secret; empty: requests are not signed.
    std::string secret_file;
    // For a connection, and for an answer.
    absl::Duration timeout = absl::Seconds(10);
    absl::Duration first_pause = absl::Seconds(1);
    absl::Duration longest_pause = absl::Minutes(5);
  };

  // `feed` outlives it. kInvalidArgument, kFailedPrecondition: what is wrong with
  // which option.
  static absl::StatusOr<std::unique_ptr<Webhook>> Start(Options options, mail::EventFeed* feed);
  // Gives up what is under way; it is posted again by the next start.
  ~Webhook();

  // Reads the secret again; what does not fit changes nothing and is logged.
  void Reload();
  // The same if the file has changed; to be called now and then.
  void ReloadIfChanged();

  mail::EventConsumer::Figures figures() const;

 private:
  class Poster;
  Webhook(std::unique_ptr<Poster> poster, mail::EventFeed* feed, const Options& options);

  const std::unique_ptr<Poster> poster_;
  std::unique_ptr<mail::EventConsumer> consumer_;
};

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_WEBHOOK_H_
