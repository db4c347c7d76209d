// Asks a Postfix policy service over persistent connections, one request at a time on
// each, as Postfix does at RCPT.
//
//     policy_load ADDRESS CONNECTIONS SECONDS RECIPIENT
//
// An answer other than DUNNO ends it with an error: what is compared has to be the same.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/load/inputs.h"
#include "tests/bench/load/latencies.h"
#include "tests/bench/load/line_socket.h"

namespace restante::bench {
namespace {

// All attributes that Postfix 3.7 sends.
std::string Request(const std::string& recipient, uint64_t instance) {
  return "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
         "client_address=192.0.2.7\nclient_name=mail.example.net\nclient_port=41234\n"
         "reverse_client_name=mail.example.net\nserver_address=192.0.2.1\nserver_port=25\n"
         "helo_name=mail.example.net\nsender=sender@example.net\nrecipient=" +
         recipient + "\nrecipient_count=0\nqueue_id=\ninstance=1d2c." + std::to_string(instance) +
         ".0\nsize=4096\netrn_domain=\nstress=\nsasl_method=\nsasl_username=\nsasl_sender=\n"
         "ccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\n"
         "encryption_protocol=\nencryption_cipher=\nencryption_keysize=0\npolicy_context=\n\n";
}

struct Asker {
  explicit Asker(const std::string& address) : socket(address) {}
  LineSocket socket;
  std::string request;
  Steady::time_point asked;
};

void Run(const std::string& address, int connections, double seconds, const std::string& recipient) {
  Poller poller;
  Latencies latencies;
  std::vector<std::unique_ptr<Asker>> askers;
  int waiting = 0;
  uint64_t instance = 0;
  const Steady::time_point begin = Steady::now();
  const auto ask = [&](Asker& asker, Steady::time_point now) {
    asker.request = Request(recipient, ++instance);
    asker.asked = now;
    ++waiting;
    asker.socket.Send(asker.request);
  };
  for (int i = 0; i < connections; ++i) {
    askers.push_back(std::make_unique<Asker>(address));
    poller.Add(&askers.back()->socket, [&, asker = askers.back().get()] {
      const std::string_view answer = asker->socket.input();
      if (!answer.ends_with("\n\n")) return;
      if (!answer.starts_with("action=DUNNO")) Die(address + ": " + std::string(answer));
      asker->socket.Consume(answer.size());
      const Steady::time_point now = Steady::now();
      latencies.Add(now - asker->asked);
      --waiting;
      if (Seconds(now - begin) < seconds) ask(*asker, now);
    });
  }
  for (const auto& asker : askers) ask(*asker, Steady::now());
  poller.RunUntil([&] { return waiting == 0; });
  Report(latencies.count(), latencies, Steady::now() - begin);
}

}  // namespace
}  // namespace restante::bench

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: policy_load ADDRESS CONNECTIONS SECONDS RECIPIENT\n");
    return 2;
  }
  restante::bench::Run(argv[1], std::atoi(argv[2]), std::atof(argv[3]), argv[4]);
}
