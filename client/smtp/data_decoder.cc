#include "client/smtp/data_decoder.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace restante::smtp {

size_t DataDecoder::Decode(absl::string_view in, size_t room, std::string* out) {
  if (out == nullptr) room = std::numeric_limits<size_t>::max();
  const auto emit = [&](absl::string_view octets) {
    if (out == nullptr) return;
    out->append(octets.data(), octets.size());
    room -= octets.size();
  };

  size_t i = 0;
  while (i < in.size() && state_ != State::kDone) {
    // States in which an octet may be taken that leaves no trace in the text.
    if (state_ == State::kLineStart && in[i] == '.') {
      state_ = State::kDot;
      ++i;
      continue;
    }
    if (state_ == State::kDot) {
      if (in[i] == '\r') {
        state_ = State::kDotCr;
        ++i;
      } else {
        state_ = State::kText;
      }
      continue;
    }
    if (state_ == State::kDotCr && in[i] == '\n') {
      state_ = State::kDone;
      ++i;
      continue;
    }
    if (room == 0) break;
    if (state_ == State::kDotCr) {
      // Not the end after all: the CR is text.
      emit("\r");
      state_ = State::kCr;
      continue;
    }

    // Run up to the next dot that starts a line. Only dots are looked at, so a
    // text in base64 is one memchr.
    const size_t begin = i;
    const size_t end = begin + std::min(room, in.size() - begin);
    size_t stop = end;
    for (size_t from = begin; from < end;) {
      const void* found = std::memchr(in.data() + from, '.', end - from);
      if (found == nullptr) break;
      const size_t dot = static_cast<size_t>(static_cast<const char*>(found) - in.data());
      const bool starts_line = dot >= begin + 2   ? in[dot - 2] == '\r' && in[dot - 1] == '\n'
                               : dot == begin + 1 ? state_ == State::kCr && in[begin] == '\n'
                                                  : false;
      if (starts_line) {
        stop = dot;
        break;
      }
      from = dot + 1;
    }
    const char last = in[stop - 1];
    const bool behind_cr = stop - begin >= 2 ? in[stop - 2] == '\r' : state_ == State::kCr;
    emit(in.substr(begin, stop - begin));
    state_ = last == '\r' ? State::kCr : last == '\n' && behind_cr ? State::kLineStart : State::kText;
    i = stop;
  }
  if (inspect_) inspector_.Inspect(in.substr(0, i));
  return i;
}

}  // namespace restante::smtp
