#include "client/lib/store_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace restante::client_internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(StoreNames, AreAListAndEachOnce) {
  const auto names = ParseStoreNames("10.0.0.1:8354, 10.0.0.2:8354,10.0.0.1:8354");
  ASSERT_TRUE(names.ok()) << names.status();
  ASSERT_EQ(names->size(), 2u);
  EXPECT_EQ((*names)[0].target, "10.0.0.1:8354");
  EXPECT_EQ((*names)[1].target, "10.0.0.2:8354");
}

TEST(StoreNames, OfHostsWithAPortMayBeSeveral) {
  for (const char* target : {"stores:8354", "dns:stores:8354", "dns:///stores:8354"}) {
    const auto names = ParseStoreNames(target);
    ASSERT_TRUE(names.ok()) << names.status();
    EXPECT_EQ((*names)[0].target, target);
    EXPECT_EQ((*names)[0].host, "stores");
    EXPECT_EQ((*names)[0].port, "8354");
  }
}

TEST(StoreNames, OfOneStoreAreLeftToGrpc) {
  for (const char* target :
       {"127.0.0.1:8354", "[::1]:8354", "dns:///[::1]:8354", "localhost:8354", "unix:/run/store",
        "unix:///run/store", "ipv4:10.0.0.1:8354", "dns://10.0.0.53/stores:8354", "stores", "stores:https"}) {
    const auto names = ParseStoreNames(target);
    ASSERT_TRUE(names.ok()) << names.status();
    EXPECT_FALSE((*names)[0].may_be_several()) << target;
    EXPECT_EQ((*names)[0].target, target);
  }
}

TEST(StoreNames, ThatAreMissingAreAnError) {
  for (const char* target : {"", ",", "10.0.0.1:8354,", "10.0.0.1:8354,,10.0.0.2:8354"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseStoreNames(target).status())) << target;
    EXPECT_THAT(std::string(ParseStoreNames(target).status().message()), HasSubstr(target));
  }
}

TEST(SystemResolver, TellsAddressesWithThePort) {
  SystemResolver resolver;
  const auto v4 = resolver.Resolve("127.0.0.1", "8354");
  ASSERT_TRUE(v4.ok()) << v4.status();
  EXPECT_THAT(*v4, ElementsAre("127.0.0.1:8354"));
  const auto v6 = resolver.Resolve("::1", "8354");
  ASSERT_TRUE(v6.ok()) << v6.status();
  EXPECT_THAT(*v6, ElementsAre("[::1]:8354"));
}

}  // namespace
}  // namespace restante::client_internal
