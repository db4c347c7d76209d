// Conversations as plain text, and what plays them.
//
// tests/dialogue/README.md describes the format.
#ifndef RESTANTE_TESTS_SMTP_DIALOGUE_H_
#define RESTANTE_TESTS_SMTP_DIALOGUE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/smtp/session.h"
#include "tests/smtp/fake_store.h"

namespace restante::smtp {

struct DialogueStep {
  enum class Kind {
    kClient,
    kServer,
    kEvent,
    kStore,
    kClosed,
    kStored,
    kText,
    kLog,
    kAborted,
    kBegun,
    kHandedOver,
    kFrom
  };
  Kind kind;
  int line = 0;
  // Decoded octets of the client, a pattern, or arguments.
  std::string text;
};

struct Dialogue {
  std::string name;
  SessionOptions options;
  // Whether the client is of a trusted network; that of LMTP is.
  bool trusted = false;
  // What a proxy puts in front of the client's side; empty: there is none.
  std::string proxy_header;
  std::string client = "192.0.2.7";
  std::vector<DialogueStep> steps;
  // Only C, S, `closed` and checks follow the first C: the client's whole side may be
  // sent at once.
  bool pipelines = true;
};

absl::StatusOr<Dialogue> ParseDialogue(const std::string& name, const std::string& contents);

// Applies a `store:` line.
absl::Status ApplyStoreKnob(const std::string& arguments, FakeStore* store);

// `*` in `pattern` is any run of octets.
bool Matches(const std::string& pattern, const std::string& line);

// The steps with `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH` and `\{N:text}` (N times) replaced.
absl::StatusOr<std::string> Unescape(const std::string& text);

// What a dialogue is played against.
class DialogueTarget {
 public:
  virtual ~DialogueTarget() = default;
  virtual void Send(const std::string& octets) = 0;
  virtual absl::Status Event(const std::string& name) = 0;
  virtual absl::Status Store(const std::string& knob) = 0;
  // The next reply line without CRLF; an error if none comes.
  virtual absl::StatusOr<std::string> ReadLine() = 0;
  // An error that says what came if there is output that nobody has read. Against a
  // socket only what has arrived counts.
  virtual absl::Status NothingMore() = 0;
  virtual absl::Status Closed() = 0;
  // Lets things move on before a check is tried again; false when it is no use.
  virtual bool Turn() = 0;
  virtual FakeStore& store() = 0;
  virtual std::vector<TransactionRecord>& records() = 0;
};

// Plays it; `at_once`: the client's side in one piece, all replies afterwards.
absl::Status Play(const Dialogue& dialogue, bool at_once, DialogueTarget* target);

}  // namespace restante::smtp

#endif  // RESTANTE_TESTS_SMTP_DIALOGUE_H_
