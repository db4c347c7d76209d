// Where addresses lead.
#include <string>

#include "tests/mail/fixture.h"

namespace restante::mail {
namespace {

using Kind = Resolution::Kind;

class DirectoryTest : public StoreTest {
 protected:
  Resolution Resolve(std::string address, Directory::Options options = {}) {
    Directory directory(engine_.get(), std::move(options));
    absl::StatusOr<Resolution> result = absl::UnknownError("not called");
    directory.Resolve(std::move(address), Age::kNow,
                      [&](absl::StatusOr<Resolution> r) { result = std::move(r); });
    EXPECT_TRUE(result.ok()) << result.status();
    return *std::move(result);
  }
  // The mailbox that an address leads to, or why none.
  std::string Where(std::string address, Directory::Options options = {}) {
    const Resolution r = Resolve(std::move(address), std::move(options));
    switch (r.kind) {
      case Kind::kMailbox:
        return r.head.address() + (r.exempt ? " exempt" : "");
      case Kind::kNoSuchMailbox:
        return "no such mailbox";
      case Kind::kForeignDomain:
        return "foreign";
      case Kind::kNotConfigured:
        return "not configured";
      case Kind::kInvalid:
        return "invalid";
    }
    return "";
  }
};

TEST_F(DirectoryTest, OfAStoreWithoutDomainsIsNotConfigured) {
  EXPECT_EQ(Where("a@example.org"), "not configured");
  EXPECT_EQ(Where("postmaster"), "not configured");
  EXPECT_EQ(Where("nonsense"), "invalid");
}

TEST_F(DirectoryTest, ResolvesInOrder) {
  ASSERT_TRUE(Domain("example.org").ok());
  ASSERT_TRUE(Domain("example.net").ok());
  for (const char* a : {"alice@example.org", "bob@example.org", "alice+own@example.org", "rest@example.net",
                        "+x@example.org"}) {
    ASSERT_TRUE(Mailbox(a).ok());
  }
  ASSERT_TRUE(Alias("info@example.org", "bob@example.org").ok());
  ASSERT_TRUE(Alias("alice+alias@example.org", "bob@example.org").ok());
  ASSERT_TRUE(Alias("away@example.org", "rest@example.net").ok());

  EXPECT_EQ(Where("alice@example.org"), "alice@example.org");
  EXPECT_EQ(Where("ALICE@Example.ORG"), "alice@example.org");
  EXPECT_EQ(Where("\"alice\"@example.org"), "alice@example.org");
  EXPECT_EQ(Where("info@example.org"), "bob@example.org");
  EXPECT_EQ(Where("alice+own@example.org"), "alice+own@example.org");
  EXPECT_EQ(Where("alice+alias@example.org"), "bob@example.org");
  EXPECT_EQ(Where("alice+other@example.org"), "alice@example.org");
  EXPECT_EQ(Where("alice+own+more@example.org"), "alice@example.org");
  EXPECT_EQ(Where("info+x@example.org"), "bob@example.org");
  EXPECT_EQ(Where("+x@example.org"), "+x@example.org");
  EXPECT_EQ(Where("+x+y@example.org"), "+x@example.org");
  EXPECT_EQ(Where("+@example.org"), "no such mailbox");
  EXPECT_EQ(Where("nobody@example.org"), "no such mailbox");
  EXPECT_EQ(Where("nobody+alice@example.org"), "no such mailbox");
  EXPECT_EQ(Where("alice@example.com"), "foreign");
  EXPECT_EQ(Where("@a,@b:alice@example.org"), "alice@example.org");

  EXPECT_EQ(Where("alice-x@example.org"), "no such mailbox");
  EXPECT_EQ(Where("alice-x@example.org", {.recipient_delimiter = "+-"}), "alice@example.org");
  EXPECT_EQ(Where("alice-x+y@example.org", {.recipient_delimiter = "+-"}), "alice@example.org");
  EXPECT_EQ(Where("alice+x@example.org", {.recipient_delimiter = ""}), "no such mailbox");
}

TEST_F(DirectoryTest, GivesTheDomainOfTheMailboxAndNotOfTheAlias) {
  ASSERT_TRUE(Domain("example.org", {.over_quota = 1}).ok());
  ASSERT_TRUE(Domain("example.net").ok());
  ASSERT_TRUE(Mailbox("alice@example.net").ok());
  ASSERT_TRUE(Alias("alice@example.org", "alice@example.net").ok());
  EXPECT_EQ(Resolve("alice@example.org").domain.name(), "example.net");
}

TEST_F(DirectoryTest, SendsTheRestToTheCatchAll) {
  ASSERT_TRUE(Domain("example.net").ok());
  ASSERT_TRUE(Mailbox("rest@example.net").ok());
  ASSERT_TRUE(Domain("example.org", {.catch_all = "rest@example.net"}).ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  EXPECT_EQ(Where("nobody@example.org"), "rest@example.net");
  EXPECT_EQ(Where("alice+x@example.org"), "alice@example.org");
  EXPECT_EQ(Where("nobody@example.net"), "no such mailbox");
  ASSERT_TRUE(Get(provisioning_->DeleteMailbox(At("rest@example.net"), "", false)).ok());
  EXPECT_EQ(Where("nobody@example.org"), "no such mailbox");
}

TEST_F(DirectoryTest, NeverBouncesPostmaster) {
  ASSERT_TRUE(Domain("example.org").ok());
  ASSERT_TRUE(Domain("example.net").ok());
  ASSERT_TRUE(Mailbox("postmaster@example.net").ok());
  ASSERT_TRUE(Mailbox("ops@example.org").ok());
  EXPECT_EQ(Where("postmaster"), "not configured");
  EXPECT_EQ(Where("Postmaster@example.org"), "not configured");
  EXPECT_EQ(Where("postmaster@example.net"), "postmaster@example.net exempt");
  EXPECT_EQ(Where("postmaster+x@example.net"), "postmaster@example.net");
  EXPECT_EQ(Where("postmaster@example.com"), "foreign");
  const Directory::Options with{.postmaster = "ops@example.org"};
  EXPECT_EQ(Where("PostMaster", with), "ops@example.org exempt");
  EXPECT_EQ(Where("postmaster@example.org", with), "ops@example.org exempt");
  EXPECT_EQ(Where("postmaster@example.net", with), "postmaster@example.net exempt");
  EXPECT_EQ(Where("postmaster@example.com", with), "foreign");
  EXPECT_EQ(Where("ops@example.org", with), "ops@example.org");
  EXPECT_EQ(Where("postmaster", {.postmaster = "gone@example.org"}), "not configured");
}

}  // namespace
}  // namespace restante::mail
