// The text of a message that comes by BDAT: RFC 3030.
#ifndef RESTANTE_CLIENT_SMTP_CHUNK_DECODER_H_
#define RESTANTE_CLIENT_SMTP_CHUNK_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "client/smtp/newline_inspector.h"

namespace restante::smtp {

// Counts the octets of one chunk after another. They are the text as they are:
// no octet of them means an end, and no dot is removed.
class ChunkDecoder {
 public:
  // `inspect`: whether irregular() is wanted; it costs another look at each octet.
  explicit ChunkDecoder(bool inspect) : inspect_(inspect) {}

  // A command announced `size` octets; with `last` the text ends behind them.
  void Start(uint64_t size, bool last) {
    size_ = left_ = size;
    last_ = last;
  }

  // Takes octets of the chunk from the front of `in`, appends at most `room` of
  // them to `out` (null: they are thrown away, and `room` does not matter), and
  // returns how many it took. What follows the chunk is not taken.
  size_t Decode(absl::string_view in, size_t room, std::string* out);

  // Whether the chunk is complete. What follows it is commands.
  bool done() const { return left_ == 0; }

  // Octets of the chunk, and whether it is the last one.
  uint64_t size() const { return size_; }
  bool last() const { return last_; }

  // Whether the text, all of its chunks, holds a bare CR, a bare LF or NUL, if
  // inspected. To be asked behind the last chunk.
  bool irregular() const { return inspector_.irregular_at_end(); }

 private:
  bool inspect_;
  bool last_ = false;
  uint64_t size_ = 0;
  uint64_t left_ = 0;
  NewlineInspector inspector_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_CHUNK_DECODER_H_
