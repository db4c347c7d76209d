// restante watch
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/context.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "server/base/units.h"

namespace restante::cli {
namespace {

constexpr std::chrono::milliseconds kFirstPause{500}, kLongestPause{30'000};

struct WatchOptions {
  std::optional<uint64_t> after;
  bool only_new = false;
  std::vector<std::string> kinds;
};

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(time.seconds()), absl::UTCTimeZone());
}

// `900B of 1K, 9 of 10 messages`
std::string UsageText(const v1::QuotaEvent& quota) {
  std::string text = absl::StrCat(FormatSize(quota.used_bytes()));
  if (quota.max_bytes().kind() == v1::Limit::VALUE) {
    absl::StrAppend(&text, " of ", LimitText(quota.max_bytes(), true));
  }
  if (quota.has_max_messages()) {
    absl::StrAppend(&text, ", ", quota.used_messages());
    if (quota.max_messages().kind() == v1::Limit::VALUE) {
      absl::StrAppend(&text, " of ", LimitText(quota.max_messages(), false));
    }
    absl::StrAppend(&text, " messages");
  }
  return text;
}

std::string LineOf(const v1::StoreEvent& event) {
  std::string line = absl::StrCat(event.sequence(), " ", TimeText(event.time()), " ");
  if (event.has_quota()) {
    const v1::QuotaEvent& quota = event.quota();
    const bool rises = quota.percent() > quota.previous_percent();
    absl::StrAppend(&line, quota.resource(), rises ? " reached " : " fell from ",
                    rises ? quota.percent() : quota.previous_percent(), " %");
    if (!rises)
      absl::StrAppend(&line, quota.percent() == 0 ? "" : absl::StrCat(" to ", quota.percent(), " %"));
    absl::StrAppend(&line, ": ", UsageText(quota));
  } else if (event.has_disk()) {
    absl::StrAppend(&line, event.disk().full() ? "the disk is full: " : "the disk has room again: ",
                    FormatSize(event.disk().used_bytes()), " of ", FormatSize(event.disk().limit_bytes()));
  } else {
    absl::StrAppend(&line, "of a kind that this program does not know");
  }
  return line;
}

std::string JsonOf(const v1::StoreEvent& event) {
  Record record;
  record.Number("sequence", event.sequence()).Time("time", event.time());
  if (event.has_quota()) {
    const v1::QuotaEvent& quota = event.quota();
    record.Text("kind", "quota")
        .Text("resource", quota.resource())
        .Number("percent", quota.percent())
        .Number("previous_percent", quota.previous_percent())
        .Size("used_bytes", quota.used_bytes())
        .Limit("max_bytes", quota.max_bytes(), true);
    if (quota.has_max_messages()) {
      record.Number("used_messages", quota.used_messages())
          .Limit("max_messages", quota.max_messages(), false);
    }
  } else if (event.has_disk()) {
    record.Text("kind", "disk")
        .Bool("full", event.disk().full())
        .Size("used_bytes", event.disk().used_bytes())
        .Size("limit_bytes", event.disk().limit_bytes());
  }
  return record.ToJson();
}

absl::Status Watch(Context& context, const WatchOptions& options) {
  v1::WatchEventsRequest request;
  if (options.after) request.set_after_sequence(*options.after);
  request.set_only_new(options.only_new);
  for (const std::string& kind : options.kinds) {
    request.add_kinds(kind == "disk" ? v1::EVENT_KIND_DISK : v1::EVENT_KIND_QUOTA);
  }
  bool followed = false;  // At least once: then a store that is away comes back.
  std::chrono::milliseconds pause = kFirstPause;
  while (true) {
    const absl::Status ended = context.client().WatchEvents(request, [&](const auto& response) {
      if (pause > kFirstPause) context.err << "restante: the store is back\n";
      for (const v1::StoreEvent& event : response.events()) {
        context.out << (context.json() ? JsonOf(event) : Printable(LineOf(event))) << "\n";
      }
      context.out.flush();
      // What goes on goes on here, whatever was asked for first.
      request.set_after_sequence(response.sequence());
      request.set_only_new(false);
      followed = true;
      pause = kFirstPause;
      return context.out.good();
    });
    if (ended.ok() || !followed || !absl::IsUnavailable(ended)) return ended;
    if (pause == kFirstPause) {
      context.err << "restante: " << Printable(ended.message()) << "; waiting for the store\n";
      context.err.flush();
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongestPause);
  }
}

}  // namespace

void AddWatchCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<WatchOptions>();
  CLI::App* watch = app.add_subcommand(
      "watch",
      "Follows what operators should know of: mailboxes and domains that reach or leave a threshold of "
      "their limit, a disk that is full or has room again. First what the store has kept, then what comes, "
      "one line each, until Ctrl-C; a store that is restarted is waited for.");
  watch
      ->add_option(
          "--after", options->after,
          "Only what is newer than the event of this number. If some of that is no longer kept, exit "
          "status 1.")
      ->type_name("N");
  watch->add_flag("--new", options->only_new, "Only what comes from now on.");
  watch->add_option("--kind", options->kinds, "Only these events.")
      ->check(CLI::IsMember({"quota", "disk"}))
      ->type_name("quota|disk");
  watch->footer("Examples:\n  restante watch\n  restante --output json watch --after 17 --kind quota\n");
  watch->callback(
      [&context, options] { context.run = [options](Context& c) { return Watch(c, *options); }; });
}

}  // namespace restante::cli
