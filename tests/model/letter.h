// A delivery as it is meant to go: who, to whom, what, and the events of it.
#ifndef RESTANTE_TESTS_MODEL_LETTER_H_
#define RESTANTE_TESTS_MODEL_LETTER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "restante/v1/delivery.pb.h"

namespace restante::model {

// The text of a seed; it begins with both numbers, so that it can be told from
// itself whether a text is whole. Every other one cannot be compressed.
std::string MakeText(uint64_t seed, size_t size);
// Whether a text is what MakeText made.
bool IsWhole(absl::string_view text);

struct Letter {
  std::string request_id;
  v1::Begin::Mode mode = v1::Begin::ALL_OR_NONE;
  std::string sender;
  std::string client;
  std::optional<uint64_t> declared;
  std::vector<std::string> recipients;
  bool ignore_quota = false;
  // What notifications its sender asks for (RFC 3461); told from it for each recipient.
  // 0: none.
  uint32_t dsn = 0;
  std::string text;
  // What its retries are recognised by; empty: nothing.
  std::string digest;

  v1::Event Begin() const;
  v1::Event Recipient(size_t i) const;
  static v1::Event Data();
  v1::Event Chunk(size_t offset, size_t length) const;
  v1::Event Commit() const;
  static v1::Event Abort();
};

}  // namespace restante::model

#endif  // RESTANTE_TESTS_MODEL_LETTER_H_
