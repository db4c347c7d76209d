// The end of a mail text and its dots: RFC 5321, 4.1.1.4 and 4.5.2.
#ifndef RESTANTE_CLIENT_SMTP_DATA_DECODER_H_
#define RESTANTE_CLIENT_SMTP_DATA_DECODER_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "client/smtp/newline_inspector.h"

namespace restante::smtp {

// A state machine over the octets that follow 354, however they are split.
//
// Only CR LF '.' CR LF ends the text (the first CR LF belongs to it; the text
// itself starts behind a line end, so '.' CR LF alone is an empty text). A bare
// CR, a bare LF and NUL are octets of the text like any other and never make a
// line. A dot that starts a line is removed. Nothing else is changed.
//
// Text that is thrown away goes through the same states as text that is kept, so
// both end at the same octet.
class DataDecoder {
 public:
  // `inspect`: whether irregular() is wanted; it costs another look at each octet.
  explicit DataDecoder(bool inspect) : inspect_(inspect) {}

  // Takes octets from the front of `in`, appends at most `room` decoded ones to
  // `out` (null: they are thrown away, and `room` does not matter), and returns
  // how many it took: fewer than given if `room` was used up or the text ended.
  // The octets of the end itself need no room. Not to be called when done().
  size_t Decode(absl::string_view in, size_t room, std::string* out);

  // Whether the end was seen. What follows it is commands.
  bool done() const { return state_ == State::kDone; }

  // Whether the text so far held a bare CR, a bare LF or NUL, if inspected.
  bool irregular() const { return inspector_.irregular(); }

 private:
  enum class State {
    kText,       // within a line
    kCr,         // behind a CR within a line
    kLineStart,  // behind CR LF, or at the very start
    kDot,        // behind a dot at the start of a line, which is dropped
    kDotCr,      // behind such a dot and CR, which is held back
    kDone,
  };

  bool inspect_;
  State state_ = State::kLineStart;
  // Sees what was taken, before anything was removed.
  NewlineInspector inspector_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_DATA_DECODER_H_
