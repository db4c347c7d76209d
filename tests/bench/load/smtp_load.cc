// Delivers messages by SMTP or LMTP over sessions that stay open, and measures the time
// from the final dot to the last reply to it.
//
//     smtp_load ADDRESS smtp|lmtp SESSIONS SECONDS SIZE RECIPIENTS FILE
//
// Each message goes to the next RECIPIENTS of the addresses in FILE, one a line, and has a
// Message-ID of its own, and a Date. Commands are not pipelined, as with smtp-source. A
// refusal ends it with an error.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/bench/load/inputs.h"
#include "tests/bench/load/latencies.h"
#include "tests/bench/load/line_socket.h"

namespace restante::bench {
namespace {

struct Plan {
  std::string address;
  bool lmtp = false;
  int sessions = 1;
  double seconds = 1;
  size_t size = 4096;
  int recipients = 1;
  std::vector<std::string> addresses;
};

// Lines of octets that do not compress.
std::string Body(size_t size) {
  std::string body = Noise(size < 2 ? 0 : size - 2);
  for (size_t i = 0; i < body.size(); ++i) {
    const size_t column = i % 78;
    char& octet = body[i];
    if (octet == '\0' || octet == '\r' || octet == '\n' || octet == '.') octet = ',';
    if (column == 76) octet = '\r';
    if (column == 77) octet = '\n';
  }
  // The cut may have gone through a line end.
  if (!body.empty() && body.back() == '\r') body.back() = 'x';
  return body + "\r\n";
}

// What the sessions share.
struct Run {
  explicit Run(const Plan& p) : plan(p) {
    char text[64];
    const time_t now = std::time(nullptr);
    std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", std::gmtime(&now));
    date = text;
    tag = std::to_string(std::random_device{}());
    body = Body(plan.size > Head(0).size() ? plan.size - Head(0).size() : 2);
  }

  std::string Head(uint64_t message) const {
    return "From: <sender@example.net>\r\nTo: <list@example.org>\r\nSubject: a message\r\nDate: " + date +
           "\r\nMessage-ID: <" + std::to_string(1'000'000'000 + message) + "." + tag +
           "@example.net>\r\n\r\n";
  }

  const Plan& plan;
  std::string date, tag, body;
  Latencies latencies;
  uint64_t number = 0;    // Of messages begun.
  uint64_t messages = 0;  // Acknowledged.
  uint64_t recipients = 0;
  int open = 0;
  Steady::time_point begin, end;
};

// One connection. It waits for the replies that are due; its step is what it sends then.
class Session {
 public:
  explicit Session(Run* run) : run_(run), socket_(run->plan.address) { ++run_->open; }
  LineSocket* socket() { return &socket_; }

  void OnEvent() {
    // The dot is sent when the kernel has all of it.
    if (timing_ && !timed_ && socket_.written()) {
      dot_ = Steady::now();
      timed_ = true;
    }
    while (due_ > 0 && TakeReply()) {
      if (--due_ == 0) Next();
    }
  }

 private:
  enum class Step { kHello, kMail, kRecipient, kData, kText, kStored, kEnd };

  // Whether a whole reply has come; its code has to begin with what is expected.
  bool TakeReply() {
    while (true) {
      const std::string_view input = socket_.input();
      const size_t end = input.find('\n');
      if (end == std::string_view::npos) return false;
      const bool last = end > 3 && input[3] != '-';
      if (input[0] != expected_) Die(run_->plan.address + ": " + std::string(input.substr(0, end)));
      socket_.Consume(end + 1);
      if (last) return true;
    }
  }

  void Say(std::string text, char expected = '2', int replies = 1) {
    out_ = std::move(text);
    expected_ = expected;
    due_ = replies;
    socket_.Send(out_);
  }

  void Next() {
    const Plan& plan = run_->plan;
    switch (step_) {
      case Step::kHello:
        step_ = Step::kMail;
        return Say(plan.lmtp ? "LHLO load.example.net\r\n" : "EHLO load.example.net\r\n");
      case Step::kStored:
        run_->latencies.Add(Steady::now() - dot_);
        ++run_->messages;
        timing_ = timed_ = false;
        [[fallthrough]];
      case Step::kMail:
        if (Seconds(Steady::now() - run_->begin) >= plan.seconds) {
          step_ = Step::kEnd;
          return Say("QUIT\r\n");
        }
        step_ = Step::kRecipient;
        left_ = plan.recipients;
        return Say("MAIL FROM:<sender@example.net>\r\n");
      case Step::kRecipient:
        if (--left_ == 0) step_ = Step::kData;
        return Say("RCPT TO:<" + plan.addresses[run_->recipients++ % plan.addresses.size()] + ">\r\n");
      case Step::kData:
        step_ = Step::kText;
        return Say("DATA\r\n", '3');
      case Step::kText:
        step_ = Step::kStored;
        timing_ = true;
        Say(run_->Head(++run_->number) + run_->body + ".\r\n", '2', plan.lmtp ? plan.recipients : 1);
        if (socket_.written()) {
          dot_ = Steady::now();
          timed_ = true;
        }
        return;
      case Step::kEnd:
        socket_.Close();
        if (--run_->open == 0) run_->end = Steady::now();
        return;
    }
  }

  Run* const run_;
  LineSocket socket_;
  std::string out_;
  Step step_ = Step::kHello;
  // The greeting is due.
  char expected_ = '2';
  int due_ = 1;
  int left_ = 0;
  // The text is on its way; the dot has been sent, at dot_.
  bool timing_ = false, timed_ = false;
  Steady::time_point dot_;
};

void Deliver(const Plan& plan) {
  Run run(plan);
  Poller poller;
  std::vector<std::unique_ptr<Session>> sessions;
  run.begin = Steady::now();
  for (int i = 0; i < plan.sessions; ++i) {
    sessions.push_back(std::make_unique<Session>(&run));
    poller.Add(sessions.back()->socket(), [session = sessions.back().get()] { session->OnEvent(); });
  }
  poller.RunUntil([&] { return run.open == 0; });
  Report(run.messages, run.latencies, run.end - run.begin);
}

}  // namespace
}  // namespace restante::bench

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fprintf(stderr, "usage: smtp_load ADDRESS smtp|lmtp SESSIONS SECONDS SIZE RECIPIENTS FILE\n");
    return 2;
  }
  const restante::bench::Plan plan{.address = argv[1],
                                   .lmtp = std::string(argv[2]) == "lmtp",
                                   .sessions = std::atoi(argv[3]),
                                   .seconds = std::atof(argv[4]),
                                   .size = std::strtoul(argv[5], nullptr, 10),
                                   .recipients = std::atoi(argv[6]),
                                   .addresses = restante::bench::Lines(argv[7])};
  restante::bench::Deliver(plan);
}
