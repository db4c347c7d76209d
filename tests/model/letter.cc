#include "tests/model/letter.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/crc32c.h"
#include "tests/embedded/small_store.h"

namespace restante::model {

std::string MakeText(uint64_t seed, size_t size) {
  std::string text = absl::StrCat("letter ", seed, " ", size, " ");
  if (text.size() < size) {
    const size_t left = size - text.size();
    text +=
        seed % 2 == 0 ? embedded::Noise(left, seed) : std::string(left, static_cast<char>('a' + seed % 26));
  }
  text.resize(size);
  return text;
}

bool IsWhole(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text.substr(0, 60), absl::MaxSplits(' ', 3));
  uint64_t seed = 0, size = 0;
  // One that is too short for its numbers cannot tell.
  if (words.size() < 4 || !absl::SimpleAtoi(words[1], &seed) || !absl::SimpleAtoi(words[2], &size)) {
    return text.size() < 60;
  }
  return text == MakeText(seed, size);
}

v1::Event Letter::Begin() const {
  v1::Event event;
  v1::Begin& begin = *event.mutable_begin();
  begin.set_request_id(request_id);
  begin.set_mode(mode);
  begin.set_sender(sender);
  begin.mutable_client()->set_address(client);
  if (declared) begin.set_declared_size(*declared);
  begin.set_detect_retries(!digest.empty());
  begin.set_ret(static_cast<v1::Ret>(dsn % v1::Ret_ARRAYSIZE));
  if (dsn > 0) begin.set_envid(absl::StrCat("envid-", dsn, "+2B"));
  return event;
}

v1::Event Letter::Recipient(size_t i) const {
  v1::Event event;
  event.mutable_recipient()->set_address(recipients[i]);
  event.mutable_recipient()->set_ignore_quota(ignore_quota);
  // Some have all of it, some a part, some nothing.
  const uint32_t wanted = dsn == 0 ? 0 : dsn + static_cast<uint32_t>(i);
  if (wanted % 2 == 1) event.mutable_recipient()->add_notify(static_cast<v1::Notify>(1 + wanted % 4));
  if (wanted % 3 == 1) event.mutable_recipient()->set_orcpt(absl::StrCat("rfc822;", wanted, "@example.com"));
  return event;
}

v1::Event Letter::Data() {
  v1::Event event;
  event.mutable_data();
  return event;
}

v1::Event Letter::Chunk(size_t offset, size_t length) const {
  v1::Event event;
  event.set_chunk(text.substr(offset, length));
  return event;
}

v1::Event Letter::Commit() const {
  v1::Event event;
  event.mutable_commit()->set_size(text.size());
  event.mutable_commit()->set_crc32c(Crc32c(text));
  event.mutable_commit()->set_digest(digest);
  return event;
}

v1::Event Letter::Abort() {
  v1::Event event;
  event.mutable_abort();
  return event;
}

}  // namespace restante::model
