// STARTTLS and implicit TLS over loopback sockets, and the certificate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "client/smtp/server.h"
#include "client/smtp/tls_context.h"
#include "tests/smtp/loop_client.h"
#include "tests/smtp/test_certificate.h"

namespace restante::smtp {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string Contents(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

class TlsTest : public testing::Test {
 protected:
  TlsTest() : tls_(*TlsContext::Load(folder_.certificate_file(), folder_.key_file())) {
    options_.tls = tls_.get();
    options_.idle_timeout = milliseconds(60'000);
    options_.on_turned_away = [this](absl::string_view reason) { turned_away_.emplace_back(reason); };
  }

  void Serve(const Service& service) { server_ = std::make_unique<LoopServer>(service, options_); }

  // One that has begun TLS by STARTTLS, or from the first octet on.
  std::unique_ptr<Client> InTls(const ClientSocket::TlsSettings& settings = {}) {
    auto client = std::make_unique<Client>(server_.get());
    if (by_starttls_) {
      EXPECT_THAT(client->Read("220"), StartsWith("220 "));
      client->Send("STARTTLS\r\n");
      EXPECT_THAT(client->Read("220"), StartsWith("220 2.0.0 "));
    }
    EXPECT_TRUE(client->StartTls(settings));
    return client;
  }

  std::string ShownCertificate() {
    std::unique_ptr<Client> client = InTls();
    X509* certificate = SSL_get1_peer_certificate(client->socket().ssl());
    const std::string text = Contents(certificate);
    X509_free(certificate);
    return text;
  }

  CertificateFolder folder_;
  std::unique_ptr<TlsContext> tls_;
  ServerOptions options_;
  std::vector<std::string> turned_away_;  // Why.
  bool by_starttls_ = true;
  std::unique_ptr<LoopServer> server_;
};

TEST_F(TlsTest, AMessageInTlsSaysSoInReceivedAndInTheLog) {
  const struct {
    Protocol protocol;
    std::string hello, with, parameter;
  } kCases[] = {
      {Protocol::kSmtp, "EHLO c", "ESMTPS", ""},
      {Protocol::kSmtp, "EHLO c", "UTF8SMTPS", " SMTPUTF8"},
      {Protocol::kSmtp, "HELO c", "SMTP", ""},
      {Protocol::kLmtp, "LHLO c", "LMTPS", ""},
      {Protocol::kLmtp, "LHLO c", "UTF8LMTPS", " SMTPUTF8"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.with);
    Serve({c.protocol});
    std::unique_ptr<Client> client = InTls();
    client->Send(c.hello + "\r\nMAIL FROM:<a@b.c> SIZE=6" + c.parameter +
                 "\r\nRCPT TO:<alice@x>\r\nDATA\r\n");
    ASSERT_THAT(client->Read("354"), HasSubstr("\r\n354 "));
    client->Send("text\r\n.\r\nQUIT\r\n");
    EXPECT_THAT(client->Read("221"), StartsWith("250 2.0.0 "));
    ASSERT_EQ(server_->store().stored.size(), 1u);
    const FakeStore::Stored& stored = server_->store().stored[0];
    EXPECT_THAT(stored.text, HasSubstr(" (Restante) with " + c.with + "\r\n"));
    EXPECT_EQ(stored.begin.declared_size(), stored.text.size()) << "was known when MAIL was answered";
    ASSERT_EQ(server_->records().size(), 1u);
    EXPECT_THAT(server_->records()[0].tls, StartsWith("TLSv1.3 TLS_"));
  }
}

TEST_F(TlsTest, ImplicitTlsGreetsInTlsAndOffersNoMore) {
  by_starttls_ = false;
  Serve({.implicit_tls = true});
  std::unique_ptr<Client> client = InTls();
  EXPECT_THAT(client->Read("220"), StartsWith("220 "));
  client->Send("EHLO c\r\n");
  EXPECT_THAT(client->Read("250"), Not(HasSubstr("STARTTLS")));
  client->Send("STARTTLS\r\n");
  EXPECT_THAT(client->Read("503"), StartsWith("503 5.5.1 "));
}

TEST_F(TlsTest, ImplicitTlsNeedsACertificate) {
  options_.tls = nullptr;
  Serve({});
  const absl::Status status = server_->server().Listen({.implicit_tls = true}, "127.0.0.1:0").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST_F(TlsTest, PlaintextBehindStarttlsIsForgotten) {
  Serve({});
  Client client(server_.get());
  client.Read("220");
  client.Send("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x>\r\n");
  EXPECT_THAT(client.Read("220"), AllOf(StartsWith("220 2.0.0 "), Not(HasSubstr("250"))));
  ASSERT_TRUE(client.StartTls());
  client.Send("MAIL FROM:<a@b.c>\r\n");
  EXPECT_THAT(client.Read("503"), StartsWith("503 5.5.1 ")) << "nobody has said hello in TLS";
  EXPECT_TRUE(server_->store().begun.empty());
}

TEST_F(TlsTest, SessionsAreResumedInBothVersions) {
  Serve({});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    std::unique_ptr<Client> first = InTls({.max_version = version});
    first->Send("NOOP\r\n");
    first->Read("250");  // The tickets of TLS 1.3 came before it.
    first->socket().CloseTls();
    EXPECT_EQ(SSL_version(first->socket().ssl()), version);
    EXPECT_FALSE(SSL_session_reused(first->socket().ssl()));
    SSL_SESSION* session = SSL_get1_session(first->socket().ssl());
    first.reset();
    std::unique_ptr<Client> second = InTls({.max_version = version, .resume = session});
    EXPECT_TRUE(SSL_session_reused(second->socket().ssl()));
    second->Send("NOOP\r\n");
    EXPECT_THAT(second->Read("250"), StartsWith("250 2.0.0 "));
    SSL_SESSION_free(session);
  }
}

TEST_F(TlsTest, AnEndIsToldByCloseNotify) {
  options_.idle_timeout = milliseconds(200);
  Serve({});
  std::unique_ptr<Client> quits = InTls();
  std::unique_ptr<Client> idle = InTls();
  quits->Send("QUIT\r\n");
  EXPECT_THAT(quits->Read("221"), StartsWith("221 2.0.0 "));
  EXPECT_TRUE(quits->ClosedByServer());
  EXPECT_TRUE(quits->socket().ended_properly());
  EXPECT_THAT(idle->Read("421"), StartsWith("421 4.4.2 "));
  EXPECT_TRUE(idle->ClosedByServer());
  EXPECT_TRUE(idle->socket().ended_properly());
}

TEST_F(TlsTest, APeerThatSaysNothingToTheHandshakeIsNotWaitedForForEver) {
  options_.idle_timeout = milliseconds(80);
  options_.handshake_timeout = milliseconds(100);
  Serve({});
  Client client(server_.get());
  client.Send("STARTTLS\r\n");
  client.Read("220");
  EXPECT_TRUE(client.ClosedByServer());
  EXPECT_THAT(turned_away_, ElementsAre("tls_handshake"));
}

TEST_F(TlsTest, HandshakesThatFailAreCountedAndOthersGoOn) {
  by_starttls_ = false;
  Serve({.implicit_tls = true});
  std::unique_ptr<Client> good = InTls();
  good->Read("220");
  {
    Client talks(server_.get());
    talks.Send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(talks.ClosedByServer());
  }
  {
    Client goes(server_.get());
    ASSERT_TRUE(server_->Until([&] { return server_->server().connections() == 2; }));
  }
  {
    Client old(server_.get());
    EXPECT_FALSE(old.StartTls({.max_version = TLS1_1_VERSION}));
  }
  EXPECT_TRUE(server_->Until([&] { return turned_away_.size() == 3; }));
  EXPECT_THAT(turned_away_, testing::Each("tls_handshake"));
  good->Send("NOOP\r\n");
  EXPECT_THAT(good->Read("250"), StartsWith("250 2.0.0 "));
}

TEST_F(TlsTest, DrainingDoesNotWaitForHandshakes) {
  by_starttls_ = false;
  Serve({.implicit_tls = true});
  Client client(server_.get());
  ASSERT_TRUE(server_->Until([&] { return server_->server().connections() == 1; }));
  bool drained = false;
  server_->server().Drain(milliseconds(600'000), [&] { drained = true; });
  EXPECT_TRUE(server_->Until([&] { return drained; }));
  EXPECT_THAT(turned_away_, testing::IsEmpty()) << "it is not the peer's fault";
}

TEST_F(TlsTest, ALargeTextArrivesAsItIsThoughTheStoreIsSlow) {
  Serve({});
  server_->store().window = 10'000;
  std::unique_ptr<Client> client = InTls();
  client->Send("EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@x>\r\nDATA\r\n");
  ASSERT_THAT(client->Read("354"), HasSubstr("\r\n354 "));
  std::string text;
  for (int i = 0; text.size() < 1'000'000; ++i) text += "line " + std::to_string(i) + "\r\n";
  client->Send(text + ".\r\n");
  EXPECT_THAT(client->Read("250"), StartsWith("250 2.0.0 "));
  ASSERT_EQ(server_->store().stored.size(), 1u);
  EXPECT_THAT(server_->store().stored[0].text, testing::EndsWith("\r\n" + text));
}

TEST_F(TlsTest, APeerThatReadsNoRepliesIsNotServedForEver) {
  options_.idle_timeout = milliseconds(200);
  Serve({});
  std::unique_ptr<Client> client = InTls();
  std::string helps;
  for (int i = 0; i < 2'000; ++i) helps += "HELP\r\n";
  size_t sent = 0;
  server_->Until([&] {
    const ssize_t n = client->socket().Send(helps);
    if (n > 0) sent += static_cast<size_t>(n);
    return server_->server().connections() == 0;
  });
  EXPECT_EQ(server_->server().connections(), 0u);
  EXPECT_LT(sent, 64u << 20);
}

TEST_F(TlsTest, ACertificateThatChangesIsShownFromThenOn) {
  Serve({});
  const std::string old = ShownCertificate();
  std::unique_ptr<Client> client = InTls();
  const TestCertificate next = TestCertificate::Make();
  // The server looks by itself.
  options_.idle_timeout = milliseconds(80);
  Serve({});
  folder_.Write(next);
  EXPECT_TRUE(server_->Until([&] { return ShownCertificate() == next.certificate; }));
  EXPECT_NE(old, next.certificate);
}

TEST_F(TlsTest, AHalfChangedOrBrokenPairChangesNothing) {
  Serve({});
  const std::string old = ShownCertificate();
  const TestCertificate next = TestCertificate::Make();
  folder_.Write(folder_.certificate_file(), next.certificate);
  // Seen once, it may still be changing.
  testing::internal::CaptureStderr();
  tls_->ReloadIfChanged();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  tls_->ReloadIfChanged();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("stays as it was"), HasSubstr("key.pem"),
                    HasSubstr("is not the key of the certificate"), HasSubstr("certificate.pem")));
  // Said once for each change.
  testing::internal::CaptureStderr();
  tls_->ReloadIfChanged();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(ShownCertificate(), old);
  folder_.Write(folder_.key_file(), "no key");
  testing::internal::CaptureStderr();
  tls_->Reload();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("no private key"));
  EXPECT_EQ(ShownCertificate(), old);
  folder_.Write(folder_.key_file(), next.key);
  tls_->ReloadIfChanged();
  tls_->ReloadIfChanged();
  EXPECT_EQ(ShownCertificate(), next.certificate);
}

TEST(TlsContextTest, APairThatIsOfNoUseIsNamedWithTheReason) {
  const CertificateFolder folder;
  const std::string other = folder.path() / "other.pem";
  const std::string missing = folder.path() / "missing.pem";
  folder.Write(other, TestCertificate::Make().key);
  const std::string locked = folder.path() / "locked.pem";
  BIO* bio = BIO_new_file(locked.c_str(), "w");
  EVP_PKEY* key = EVP_EC_gen("P-256");
  char passphrase[] = "passphrase";
  PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(), nullptr, 0, nullptr, passphrase);
  EVP_PKEY_free(key);
  BIO_free(bio);
  const std::string empty = folder.path() / "empty.pem";
  folder.Write(empty, "");
  const struct {
    std::string certificate, key, names, says;
  } kCases[] = {
      {missing, folder.key_file(), missing, "No such file or directory"},
      {folder.certificate_file(), missing, missing, "No such file or directory"},
      {empty, folder.key_file(), empty, "no certificate: no start line"},
      {folder.certificate_file(), empty, empty, "no private key: "},
      {folder.key_file(), folder.key_file(), folder.key_file(), "no certificate: no start line"},
      {folder.certificate_file(), folder.certificate_file(), folder.certificate_file(), "no private key: "},
      {folder.certificate_file(), other, other, "is not the key of the certificate"},
      {folder.certificate_file(), locked, locked, "locked with a passphrase"},
      {folder.path(), folder.key_file(), folder.path(), "no certificate: "},
  };
  for (const auto& c : kCases) {
    const absl::Status status = TlsContext::Load(c.certificate, c.key).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), AllOf(StartsWith("`" + c.names + "`: "), HasSubstr(c.says)));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("no reason"))) << status;
  }
}

}  // namespace
}  // namespace restante::smtp
