// What two attempts to deliver a message have in common.
#include "client/smtp/content_digest.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace restante::smtp {
namespace {

std::string Digest(absl::string_view text, bool trusted = false, size_t piece = 1 << 20) {
  ContentDigest digest(trusted);
  for (size_t at = 0; at < text.size(); at += piece) digest.Update(text.substr(at, piece));
  return digest.Finish();
}

std::string Sha256(absl::string_view text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

const std::string kRest = "Message-ID: <1@b.c>\r\nDate: today\r\nSubject: x\r\n\r\ntext\r\n";

TEST(ContentDigest, OfAPlainMessageIsSha256OfAllOfIt) { EXPECT_EQ(Digest(kRest), Sha256(kRest)); }

TEST(ContentDigest, LeavesOutFieldsThatAreAddedOnTheWay) {
  const std::vector<std::string> fields = {
      "Return-Path: <a@b.c>\r\n",
      "Delivered-To: x\r\n",
      "Envelope-To: x\r\n",
      "Delivery-Date: now\r\n",
      "RETURN-path  : <a@b.c>\r\n",
      "Delivered-To:\r\n\tfolded\r\n over\r\n\t lines: x\r\n",
      "Delivered-To: a bare\rCR and\nLF\r\n",
  };
  for (const std::string& field : fields) {
    EXPECT_EQ(Digest(field + kRest), Sha256(kRest)) << field;
    EXPECT_EQ(Digest(field + field + kRest), Sha256(kRest)) << field;
    EXPECT_EQ(Digest("Subject: y\r\n" + field + kRest), Sha256("Subject: y\r\n" + kRest)) << field;
    EXPECT_EQ(Digest(kRest + field), Sha256(kRest + field)) << "in the text";
  }
}

TEST(ContentDigest, LeavesOutTheUppermostReceivedFieldsOfATrustedClient) {
  const std::string first = "Received: from x\r\n\tby y; now\r\n", second = "Received: by z; before\r\n";
  EXPECT_EQ(Digest(first + second + kRest, /*trusted=*/true), Sha256(kRest));
  EXPECT_EQ(Digest("Return-Path: <>\r\n" + first + kRest, true), Sha256(kRest));
  EXPECT_EQ(Digest("Subject: y\r\n" + first + kRest, true), Sha256("Subject: y\r\n" + first + kRest));
  EXPECT_EQ(Digest(first + kRest + second, true), Sha256(kRest + second));
  EXPECT_EQ(Digest(first + second + kRest), Sha256(first + second + kRest)) << "from a stranger";
}

TEST(ContentDigest, NeedsMessageIdAndDate) {
  EXPECT_EQ(Digest("").size(), 0u);
  EXPECT_EQ(Digest("Subject: x\r\n\r\ntext\r\n").size(), 0u);
  EXPECT_EQ(Digest("Date: x\r\n\r\nMessage-ID: <1@b.c>\r\n").size(), 0u) << "in the text";
  EXPECT_EQ(Digest("Message-ID: <1@b.c>\r\n\r\n").size(), 0u);
  EXPECT_EQ(Digest("Message-ID: \r\n \t\r\nDate: x\r\n\r\n").size(), 0u) << "empty";
  EXPECT_EQ(Digest("Message-ID: <1@b.c>\nDate: x\r\n\r\n").size(), 0u) << "a bare LF ends no line";
  EXPECT_EQ(Digest("X-Message-ID: <1@b.c>\r\nDates: x\r\n\r\n").size(), 0u);
  EXPECT_EQ(Digest("message-id :\r\n <1@b.c>\r\nDATE:x").size(), 32u);
}

TEST(ContentDigest, WhatIsNoFieldEndsTheHeader) {
  for (const std::string line : {"no field\r\n", ": nameless\r\n", "From x: y\r\n", "\rx: y\r\n", "\r\r\n"}) {
    EXPECT_EQ(Digest(line + kRest).size(), 0u) << line;
    const std::string text = kRest.substr(0, kRest.find("\r\n\r\n") + 2) + line + "Return-Path: x\r\n\r\n";
    EXPECT_EQ(Digest(text), Sha256(text)) << line;
  }
  EXPECT_EQ(Digest(" folded\r\n" + kRest).size(), 0u) << "nothing before it could go on";
}

TEST(ContentDigest, IsTheSameForEverySplit) {
  const std::string endless(200, 'n');
  const std::vector<std::string> texts = {
      kRest,
      "Received: a\r\n b\r\nDelivered-To: x\r\n" + kRest + "\r\n\r\n\r..\n",
      "Message-ID: 1\r\nDate: x",
      "Message-ID: 1\r\nDate: x\r\nRet",
      "Message-ID: 1\r\nDate: x\r\n\r",
      "Message-ID:1\r\nDate:\r\n\tx\r\r\n\nReturn-Path: x\r\n\rx\r\n",
      absl::StrCat("Message-ID: 1\r\nDate: x\r\n", endless, ": x\r\n", endless, "\r\nReturn-Path: y\r\n\r\n"),
  };
  for (const std::string& text : texts) {
    for (const bool trusted : {false, true}) {
      const std::string whole = Digest(text, trusted);
      EXPECT_EQ(whole.size(), 32u) << text;
      EXPECT_EQ(Digest(text, trusted, 1), whole) << text;
      for (size_t cut = 1; cut < text.size(); ++cut) {
        ContentDigest digest(trusted);
        digest.Update(absl::string_view(text).substr(0, cut));
        digest.Update(absl::string_view(text).substr(cut));
        ASSERT_EQ(digest.Finish(), whole) << "cut before octet " << cut << " of " << text;
      }
    }
  }
}

// The plugin for Haraka is held to the same file.
TEST(ContentDigest, IsWhatTheSharedVectorsSay) {
  std::ifstream file(RESTANTE_DIGEST_VECTORS);
  int cases = 0;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "#")) continue;
    const std::vector<std::string> columns = absl::StrSplit(line, '\t');
    ASSERT_EQ(columns.size(), 3u) << line;
    std::string text, digested;
    ASSERT_TRUE(absl::CUnescape(columns[1], &text) && absl::CUnescape(columns[2], &digested)) << line;
    const std::string expected = columns[2] == "none" ? "" : Sha256(digested);
    EXPECT_EQ(Digest(text, columns[0] == "trusted"), expected) << line;
    ++cases;
  }
  EXPECT_GT(cases, 20);
}

TEST(ContentDigest, TellsMessagesApart) {
  EXPECT_NE(Digest(kRest), Digest(kRest + "x"));
  EXPECT_NE(Digest("X-A: 1\r\n" + kRest), Digest("X-A: 2\r\n" + kRest));
  EXPECT_NE(Digest("X-A: 1\r\n" + kRest), Digest(kRest));
}

}  // namespace
}  // namespace restante::smtp
