// Removals that wait for who needs the file.
#include "server/engine/embedded/file_remover.h"

#include <gtest/gtest.h>

#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

class Remover : public testing::Test {
 protected:
  Remover() {
    for (const char* name : {"a", "b", "c"}) WriteFile(Path(name), "x");
  }
  std::string Path(const char* name) { return directory_.path / name; }
  std::string There() {
    std::string there;
    for (const char* name : {"a", "b", "c"}) {
      if (std::filesystem::exists(Path(name))) there += name;
    }
    return there;
  }

  Directory directory_;
  FileRemover remover_{Files::Posix()};
};

TEST_F(Remover, RemovesAtOnceWhatNobodyHolds) {
  remover_.Remove(Path("a"));
  EXPECT_EQ(There(), "bc");
  remover_.Remove(Path("a"));  // Gone already: nothing to do.
}

TEST_F(Remover, WhatIsAnnouncedIsGoingUntilItIsGone) {
  EXPECT_FALSE(remover_.Going(Path("a")));
  remover_.Announce(Path("a"));
  EXPECT_TRUE(remover_.Going(Path("a")));
  auto hold = remover_.HoldAll();
  remover_.Remove(Path("a"));
  EXPECT_TRUE(remover_.Going(Path("a")));
  hold.reset();
  EXPECT_FALSE(remover_.Going(Path("a")));
  EXPECT_EQ(There(), "bc");
}

TEST_F(Remover, AHoldKeepsEverythingUntilItSaysWhatItNeeds) {
  auto hold = remover_.HoldAll();
  remover_.Remove(Path("a"));
  remover_.Remove(Path("b"));
  EXPECT_EQ(There(), "abc");
  hold->Narrow({Path("b"), Path("c")});
  EXPECT_EQ(There(), "bc") << "a waited for nobody any more";
  remover_.Remove(Path("c"));
  hold->LetGo(Path("b"));
  EXPECT_EQ(There(), "c");
  hold.reset();
  EXPECT_EQ(There(), "");
}

TEST_F(Remover, AFileGoesWhenItsLastHoldDoes) {
  auto first = remover_.HoldAll();
  auto second = remover_.HoldAll();
  first->Narrow({Path("a")});
  remover_.Remove(Path("a"));
  first->LetGo(Path("a"));
  EXPECT_EQ(There(), "abc");
  second.reset();
  EXPECT_EQ(There(), "bc");
}

TEST_F(Remover, WhatNobodyAskedToRemoveStays) {
  remover_.HoldAll()->LetGo(Path("a"));
  EXPECT_EQ(There(), "abc");
}

}  // namespace
}  // namespace restante::embedded
