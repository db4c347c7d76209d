#include "client/smtp/content_digest.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace restante::smtp {
namespace {

// Longer names are none of those that matter.
constexpr size_t kMaxName = 64;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// Whether what its octets but for the last may be, it may be with that one: graphic
// characters, and behind them blanks, by an old custom (RFC 5322, 4.5).
bool MayBeName(absl::string_view octets) {
  const char last = octets.back();
  if (octets.size() == 1) return absl::ascii_isgraph(static_cast<unsigned char>(last));
  return IsBlank(last) ||
         (absl::ascii_isgraph(static_cast<unsigned char>(last)) && !IsBlank(octets[octets.size() - 2]));
}

bool IsLeftOut(absl::string_view name) {
  constexpr absl::string_view kLeftOut[] = {"Return-Path", "Delivered-To", "Envelope-To", "Delivery-Date"};
  return std::any_of(std::begin(kLeftOut), std::end(kLeftOut),
                     [&](absl::string_view other) { return absl::EqualsIgnoreCase(name, other); });
}

}  // namespace

ContentDigest::ContentDigest(bool from_trusted_client)
    : context_(EVP_MD_CTX_new()), from_trusted_client_(from_trusted_client) {
  if (context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) context_.reset();
}

void ContentDigest::Update(absl::string_view octets) {
  while (!octets.empty()) {
    switch (state_) {
      case State::kName:
        octets.remove_prefix(UpdateName(octets));
        break;
      case State::kValue:
        octets.remove_prefix(UpdateValue(octets));
        break;
      case State::kBody:
        return Hash(octets);
    }
  }
}

size_t ContentDigest::UpdateName(absl::string_view octets) {
  const char c = octets.front();
  const bool behind_cr = name_ == "\r";
  if (name_.empty() && IsBlank(c) && in_field_) {
    // RFC 5322, 2.2.3: the field before goes on.
    state_ = State::kValue;
    return 0;
  }
  if (c == ':' && !name_.empty() && !behind_cr) {
    BeginField();
    return 0;
  }
  name_.push_back(c);
  if (name_ == "\r") return 1;
  // The empty line; or what is no field, which ends the header, too.
  if (behind_cr || !MayBeName(name_)) {
    EndHeader();
  } else if (name_.size() > kMaxName) {
    BeginField();
  }
  return 1;
}

void ContentDigest::BeginField() {
  const absl::string_view name = absl::StripTrailingAsciiWhitespace(name_);
  const bool received = absl::EqualsIgnoreCase(name, "Received");
  skipping_ = IsLeftOut(name) || (received && from_trusted_client_ && above_others_);
  above_others_ = above_others_ && (skipping_ || received);
  wanted_ = absl::EqualsIgnoreCase(name, "Message-ID") ? &has_message_id_
            : absl::EqualsIgnoreCase(name, "Date")     ? &has_date_
                                                       : nullptr;
  if (!skipping_) Hash(name_);
  name_.clear();
  in_field_ = true;
  state_ = State::kValue;
}

void ContentDigest::EndHeader() {
  Hash(name_);
  name_.clear();
  state_ = State::kBody;
}

size_t ContentDigest::UpdateValue(absl::string_view octets) {
  size_t length = 0;
  bool ended = false;
  while (length < octets.size() && !ended) {
    const void* found = std::memchr(octets.data() + length, '\n', octets.size() - length);
    if (found == nullptr) {
      length = octets.size();
      break;
    }
    const size_t at = static_cast<size_t>(static_cast<const char*>(found) - octets.data());
    ended = at == 0 ? behind_cr_ : octets[at - 1] == '\r';
    length = at + 1;
  }
  const absl::string_view value = octets.substr(0, length);
  behind_cr_ = value.back() == '\r';
  // (The colon is the first octet that comes here.)
  if (wanted_ != nullptr && std::any_of(value.begin(), value.end(), [](char c) {
        return c != ':' && !absl::ascii_isspace(static_cast<unsigned char>(c));
      })) {
    *wanted_ = true;
  }
  if (!skipping_) Hash(value);
  if (ended) state_ = State::kName;
  return length;
}

void ContentDigest::Hash(absl::string_view octets) {
  if (context_ != nullptr && EVP_DigestUpdate(context_.get(), octets.data(), octets.size()) != 1) {
    context_.reset();
  }
}

std::string ContentDigest::Finish() {
  Hash(name_);
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  if (context_ == nullptr || !has_message_id_ || !has_date_ ||
      EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), &size) != 1) {
    size = 0;
  }
  digest.resize(size);
  return digest;
}

}  // namespace restante::smtp
