// Measures the gRPC API through the client library, without SMTP.
//
//     grpc_load TARGET deliver FILE IN_FLIGHT SIZE SECONDS   to the addresses in FILE in turn, with the
//                                                            library's own number of streams
//     grpc_load TARGET empty SECONDS             transactions that are begun and aborted: two round trips
//     grpc_load TARGET check FILE IN_FLIGHT SECONDS          CheckRecipient of the addresses in FILE
//     grpc_load TARGET list ADDRESS SECONDS      1,000 messages of a mailbox from any full page on
//     grpc_load TARGET read ADDRESS SECONDS      single ones of the last 1,000
//     grpc_load TARGET delete ADDRESS SECONDS    single ones of them, until none is left
//
// Anything but success ends it with an error.
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "restante/client.h"
#include "restante/delivery.h"
#include "tests/bench/load/inputs.h"
#include "tests/bench/load/latencies.h"

namespace restante::bench {
namespace {

constexpr size_t kPiece = 64 * 1024;

// Runs what is posted on the thread that calls RunUntil.
class Loop {
 public:
  void Post(absl::AnyInvocable<void()> closure) {
    absl::MutexLock lock(&mutex_);
    posted_.push_back(std::move(closure));
  }

  void RunUntil(const std::function<bool()>& done) {
    std::deque<absl::AnyInvocable<void()>> batch;
    while (!done()) {
      {
        absl::MutexLock lock(&mutex_);
        const auto any = [this] { return !posted_.empty(); };
        if (!mutex_.AwaitWithTimeout(absl::Condition(&any), absl::Seconds(60))) Die("nothing came for 60 s");
        batch.swap(posted_);
      }
      for (auto& closure : batch) closure();
      batch.clear();
    }
  }

 private:
  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void()>> posted_;
};

// What those share that run at the same time on a loop.
struct Run {
  Run(const std::string& target, double seconds_to_run) : seconds(seconds_to_run) {
    ClientOptions options;
    options.target = target;
    options.deadline = std::chrono::seconds(300);
    options.executor = [this](absl::AnyInvocable<void()> closure) { loop.Post(std::move(closure)); };
    client = DeliveryClient::Connect(std::move(options));
    const Steady::time_point start = Steady::now();
    while (!client->connected()) {
      if (Seconds(Steady::now() - start) > 30) Die(absl::StrCat(target, ": no store answers"));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    begin = Steady::now();
  }

  bool more() const { return Seconds(Steady::now() - begin) < seconds; }

  void Finish() {
    loop.RunUntil([this] { return running == 0; });
    Report(latencies.count(), latencies, Steady::now() - begin);
  }

  const double seconds;
  Loop loop;
  Latencies latencies;
  int running = 0;
  uint64_t number = 0;
  Steady::time_point begin;
  // Goes first: it must not post any more.
  std::shared_ptr<DeliveryClient> client;
};

// One transaction after another.
class Deliverer : public TransactionHandler {
 public:
  Deliverer(Run* run, const std::vector<std::string>* addresses, const std::string* text)
      : run_(run), addresses_(addresses), text_(text) {
    ++run_->running;
    Start();
  }

 private:
  void Start() {
    if (!run_->more()) {
      transaction_.reset();
      --run_->running;
      return;
    }
    v1::Begin begin;
    begin.set_sender("sender@example.net");
    if (text_ != nullptr) begin.set_declared_size(text_->size());
    sent_ = 0;
    ready_ = false;
    began_ = Steady::now();
    transaction_ = run_->client->Begin(std::move(begin), this);
    if (text_ == nullptr) return;
    transaction_->Recipient((*addresses_)[run_->number++ % addresses_->size()]);
    transaction_->Data();
  }

  void Feed() {
    while (sent_ < text_->size() && transaction_->credit() > 0) {
      std::string piece = text_->substr(sent_, std::min<uint64_t>(kPiece, transaction_->credit()));
      sent_ += piece.size();
      transaction_->Chunk(std::move(piece));
    }
    if (sent_ == text_->size()) {
      ready_ = false;
      transaction_->Commit();
    }
  }

  void OnAnswer(const v1::Answer& answer) override {
    switch (answer.kind_case()) {
      case v1::Answer::kBegun:
        if (text_ == nullptr) transaction_->Abort();
        return;
      case v1::Answer::kDecision:
        if (answer.decision().outcome() != v1::OUTCOME_OK) Die(answer.ShortDebugString());
        return;
      case v1::Answer::kReady:
        ready_ = true;
        return Feed();
      case v1::Answer::kCredit:
        if (ready_) Feed();
        return;
      case v1::Answer::kReceipts:
        if (!answer.receipts().committed()) Die(answer.ShortDebugString());
        return End();
      case v1::Answer::kAborted:
        if (text_ != nullptr) Die(answer.ShortDebugString());
        return End();
      case v1::Answer::kRefused:
      case v1::Answer::kChecked:
      case v1::Answer::KIND_NOT_SET:
        Die(answer.ShortDebugString());
    }
  }

  void OnLost(absl::Status why, bool /*commit_sent*/) override { Die(why.ToString()); }

  void End() {
    run_->latencies.Add(Steady::now() - began_);
    run_->loop.Post([this] { Start(); });
  }

  Run* const run_;
  const std::vector<std::string>* const addresses_;
  // None: begun and aborted.
  const std::string* const text_;
  std::unique_ptr<Transaction> transaction_;
  size_t sent_ = 0;
  bool ready_ = false;
  Steady::time_point began_;
};

void Deliver(const std::string& target, const char* file, int in_flight, size_t size, double seconds) {
  const std::vector<std::string> addresses = Lines(file);
  const std::string text = Noise(size);
  Run run(target, seconds);
  std::vector<std::unique_ptr<Deliverer>> deliverers;
  for (int i = 0; i < in_flight; ++i) {
    deliverers.push_back(std::make_unique<Deliverer>(&run, &addresses, &text));
  }
  run.Finish();
}

void Empty(const std::string& target, double seconds) {
  Run run(target, seconds);
  Deliverer one(&run, nullptr, nullptr);
  run.Finish();
}

void CheckNext(Run& run, const std::vector<std::string>& addresses) {
  if (!run.more()) {
    --run.running;
    return;
  }
  v1::CheckRecipientRequest request;
  request.set_address(addresses[run.number++ % addresses.size()]);
  request.set_size(4096);
  run.client->CheckRecipient(std::move(request), std::chrono::seconds(30),
                             [&run, &addresses, asked = Steady::now()](auto response) {
                               if (!response.ok()) Die(response.status().ToString());
                               run.latencies.Add(Steady::now() - asked);
                               CheckNext(run, addresses);
                             });
}

void Check(const std::string& target, const char* file, int in_flight, double seconds) {
  const std::vector<std::string> addresses = Lines(file);
  Run run(target, seconds);
  run.running = in_flight;
  for (int i = 0; i < in_flight; ++i) CheckNext(run, addresses);
  run.Finish();
}

// The messages of a mailbox, a thousand a page.
v1::ListMessagesResponse Page(Client& client, const std::string& address, const std::string& token) {
  v1::ListMessagesRequest request;
  request.set_parent(absl::StrCat("mailboxes/", address));
  request.set_page_size(1000);
  request.set_page_token(token);
  absl::StatusOr<v1::ListMessagesResponse> page = client.ListMessages(request);
  if (!page.ok()) Die(page.status().ToString());
  return *std::move(page);
}

struct Pages {
  // Of those that are full.
  std::vector<std::string> tokens;
  // The names of the last messages, a thousand at most.
  std::vector<std::string> last;
};

Pages AllPages(Client& client, const std::string& address) {
  Pages pages;
  std::string token;
  do {
    v1::ListMessagesResponse page = Page(client, address, token);
    if (page.messages_size() == 1000) pages.tokens.push_back(token);
    for (const v1::Message& message : page.messages()) pages.last.push_back(message.name());
    if (pages.last.size() > 1000) pages.last.erase(pages.last.begin(), pages.last.end() - 1000);
    token = page.next_page_token();
  } while (!token.empty());
  if (pages.last.empty()) Die(absl::StrCat(address, ": no message"));
  return pages;
}

// Calls `one` again and again, until the time is up or it returns false.
void Repeat(double seconds, const std::function<bool()>& one) {
  Latencies latencies;
  const Steady::time_point begin = Steady::now();
  Steady::time_point now = begin;
  while (Seconds(now - begin) < seconds && one()) {
    const Steady::time_point before = std::exchange(now, Steady::now());
    latencies.Add(now - before);
  }
  Report(latencies.count(), latencies, now - begin);
}

void List(Client& client, const std::string& address, double seconds) {
  const Pages pages = AllPages(client, address);
  if (pages.tokens.empty()) Die(absl::StrCat(address, ": less than 1,000 messages"));
  std::minstd_rand random(1);
  Repeat(seconds, [&] {
    return Page(client, address, pages.tokens[random() % pages.tokens.size()]).messages_size() == 1000;
  });
}

void Read(Client& client, const std::string& address, double seconds) {
  const Pages pages = AllPages(client, address);
  std::minstd_rand random(1);
  Repeat(seconds, [&] {
    v1::ReadMessageRequest request;
    request.set_name(pages.last[random() % pages.last.size()]);
    const absl::Status done = client.ReadMessage(request, [](absl::string_view) { return absl::OkStatus(); });
    if (!done.ok()) Die(done.ToString());
    return true;
  });
}

void Delete(Client& client, const std::string& address, double seconds) {
  Pages pages = AllPages(client, address);
  Repeat(seconds, [&] {
    if (pages.last.empty()) return false;
    v1::DeleteMessageRequest request;
    request.set_name(pages.last.back());
    pages.last.pop_back();
    const absl::Status done = client.DeleteMessage(request);
    if (!done.ok()) Die(done.ToString());
    return true;
  });
}

int Main(int argc, char** argv) {
  const std::string target = argc > 2 ? argv[1] : "", what = argc > 2 ? argv[2] : "";
  if (what == "deliver" && argc == 7) {
    Deliver(target, argv[3], std::atoi(argv[4]), std::strtoul(argv[5], nullptr, 10), std::atof(argv[6]));
  } else if (what == "empty" && argc == 4) {
    Empty(target, std::atof(argv[3]));
  } else if (what == "check" && argc == 6) {
    Check(target, argv[3], std::atoi(argv[4]), std::atof(argv[5]));
  } else if ((what == "list" || what == "read" || what == "delete") && argc == 5) {
    ClientOptions options;
    options.target = target;
    Client client(options);
    (what == "list" ? List : what == "read" ? Read : Delete)(client, argv[3], std::atof(argv[4]));
  } else {
    std::fprintf(stderr,
                 "usage: grpc_load TARGET deliver|empty|check|list|read|delete ...: see grpc_load.cc\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace restante::bench

int main(int argc, char** argv) { return restante::bench::Main(argc, argv); }
