// What two attempts to deliver a message have in common: v1.Commit.digest.
#ifndef RESTANTE_CLIENT_SMTP_CONTENT_DIGEST_H_
#define RESTANTE_CLIENT_SMTP_CONTENT_DIGEST_H_

#include <openssl/evp.h>

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace restante::smtp {

// SHA-256 over the octets of a text, however they are split, without the header
// fields that differ between two attempts: Return-Path, Delivered-To, Envelope-To,
// Delivery-Date, and, from a trusted client, the Received fields above all others,
// which it and what stands before it have put there. Our own trace header is not
// given to it.
//
// A message without Message-ID or Date has none: nothing says that two such are one.
// In doubt two attempts get different digests, and the message is stored twice.
// Holds no more than the beginning of a line, whatever the header is like.
class ContentDigest {
 public:
  explicit ContentDigest(bool from_trusted_client);

  void Update(absl::string_view octets);

  // 32 octets, or empty. Ends it.
  std::string Finish();

 private:
  enum class State {
    kName,   // At the start of a line of the header, up to the colon; held in name_.
    kValue,  // Behind it, up to the line's end.
    kBody,   // Behind the header.
  };

  // Each takes octets from the front of `octets` and returns how many.
  size_t UpdateName(absl::string_view octets);
  size_t UpdateValue(absl::string_view octets);
  void BeginField();
  void EndHeader();
  void Hash(absl::string_view octets);

  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  // Null if OpenSSL does not have it: no digests then.
  std::unique_ptr<EVP_MD_CTX, Free> context_;
  const bool from_trusted_client_;

  State state_ = State::kName;
  std::string name_;
  bool behind_cr_ = false;    // In a value.
  bool in_field_ = false;     // A line may go on with the field before.
  bool skipping_ = false;     // Of that field.
  bool above_others_ = true;  // Only fields that are left out so far, and Received.
  bool has_message_id_ = false, has_date_ = false;
  bool* wanted_ = nullptr;  // Of the two, that whose value is being read.
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_CONTENT_DIGEST_H_
