// Every file of tests/dialogue, against the machine: as it stands, with all that
// the client says in one piece, octet by octet, and cut in two at every octet.
#include "tests/smtp/dialogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/smtp/machine.h"

namespace restante::smtp {
namespace {

std::vector<std::string> Files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(RESTANTE_DIALOGUES)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path().stem().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class DialogueTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::ifstream file(std::string(RESTANTE_DIALOGUES) + "/" + GetParam() + ".txt");
    const std::string contents((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    absl::StatusOr<Dialogue> parsed = ParseDialogue(GetParam(), contents);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    dialogue_ = *std::move(parsed);
    for (const DialogueStep& step : dialogue_.steps) {
      if (step.kind == DialogueStep::Kind::kClient) octets_ += step.text.size();
      if (step.kind == DialogueStep::Kind::kServer) ++replies_;
    }
    ASSERT_GT(replies_, 1u) << "says nothing";
  }

  void PlayWith(std::vector<size_t> splits, size_t piece, bool at_once) {
    Machine machine(dialogue_.options, std::move(splits), piece, dialogue_.trusted, dialogue_.client);
    const absl::Status status = Play(dialogue_, at_once, &machine);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_THAT(machine.store().violations, testing::IsEmpty());
    machine.Disconnect();
    EXPECT_EQ(machine.store().open, 0u) << "a transaction was left behind";
  }

  Dialogue dialogue_;
  size_t octets_ = 0;
  size_t replies_ = 0;
};

TEST_P(DialogueTest, GoesAsWritten) { PlayWith({}, 0, false); }

TEST_P(DialogueTest, GoesTheSameOctetByOctet) { PlayWith({}, 1, false); }

TEST_P(DialogueTest, GoesTheSameCutAnywhere) {
  const size_t step = octets_ > 4000 ? octets_ / 400 : 1;
  for (size_t at = 1; at < octets_; at += step) {
    SCOPED_TRACE(testing::Message() << "cut before octet " << at);
    PlayWith({at}, 0, false);
    if (HasFatalFailure()) return;
  }
}

TEST_P(DialogueTest, GoesTheSameWhenAllIsSentAtOnce) {
  if (!dialogue_.pipelines) return;  // Its order is part of what it tests.
  PlayWith({}, 0, true);
  const size_t step = octets_ > 4000 ? octets_ / 400 : 1;
  for (size_t at = 1; at < octets_; at += step) {
    SCOPED_TRACE(testing::Message() << "cut before octet " << at);
    PlayWith({at}, 0, true);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, DialogueTest, testing::ValuesIn(Files()), [](const auto& param_info) {
  std::string name = param_info.param;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

}  // namespace
}  // namespace restante::smtp
