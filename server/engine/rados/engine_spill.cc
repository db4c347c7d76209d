// Rows that leave a partition's own object for shards (shards.h).
//
//   a. it is noted, under the guard, what is being copied (`filling`): from here on whoever
//      erases a key of it leaves a tombstone;
//   b. the rows are read, without a guard and while they change,
//   c. and written into shards that nobody knows yet;
//   d. under the guard, if what is being copied is still this, the shards take the place
//      of the former;
//   e. rows of the object that are as the shards have them leave it, under the guard.
//
// What a reader sees is the same before and after (d). Take a key, and the value that it
// had when its row was copied, which was after (a). Was it put since, then its row is still
// in the object, and overrides the copy. Was it erased, then there is a tombstone, and
// that does. Else the copy is its value. Only (e) removes rows from the object without
// saying so, and never where something is being copied.
//
// A crash leaves a note, which any store ends that finds its run dead; shards that no list
// names, which are swept; or rows that stand in both places, which is harmless.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/shard_reader.h"
#include "server/engine/rados/shard_writer.h"

namespace restante::rados {
namespace {

// Makes a list that is changed, in a step.
void Alter(Draft& draft, const std::function<void(stored::ShardList*)>& change) {
  const Shards& before = draft.state().shards;
  auto list = before ? std::make_shared<stored::ShardList>(*before) : std::make_shared<stored::ShardList>();
  change(list.get());
  draft.state().shards = std::move(list);
  draft.Touch();
}

uint64_t FillingOf(const PartitionState& state) {
  return state.shards ? state.shards->filling().number() : 0;
}

bool IsSameShard(const Range& a, const Range& b) {
  if (a.shard == nullptr || b.shard == nullptr) return a.shard == b.shard;
  return a.shard->number() == b.shard->number() && a.shard->piece() == b.shard->piece();
}

}  // namespace

void RadosEngine::SpillLater(PartitionId id) {
  {
    absl::MutexLock lock(&mutex_);
    if (closing_ || !spilling_.insert(id).second) return;
  }
  Run<absl::Status>(SpillTask(id), [this, id](const absl::Status& status) {
    // Another store is busy with it, or it cannot be done now: after a while the next write
    // finds that it is still to be done.
    if (!status.ok() && !absl::IsAborted(status)) {
      Log(LogLevel::kWarning, "rows could not leave a partition's object",
          {{"object", PartitionObject(id)}, {"error", status.message()}});
    }
    BeginTask();
    later_->After(status.ok() ? absl::ZeroDuration() : options_.life_interval, [this, id] {
      {
        absl::MutexLock lock(&mutex_);
        spilling_.erase(id);
      }
      EndTask();
    });
  });
}

Task<absl::Status> RadosEngine::SpillTask(PartitionId id) {
  CO_RETURN_IF_ERROR(co_await RemoveGone(id));
  CO_ASSIGN_OR_RETURN(const PartitionState state, co_await PartitionOf(id)->Read({}, nullptr));
  if (const uint64_t filling = FillingOf(state); filling != 0) {
    const uint64_t run = filling >> kIncarnationShift;
    // (One of this run was given up.)
    bool dead = run == incarnation_;
    if (!dead) {
      CO_ASSIGN_OR_RETURN(dead, co_await IsDead(run));
    }
    if (!dead) co_return absl::AbortedError(absl::StrCat("run ", run, " is busy with it"));
    CO_RETURN_IF_ERROR(co_await EndFilling(id, filling, 0));
  }
  uint64_t dropped;
  do {
    CO_ASSIGN_OR_RETURN(const OwnRows own, co_await CountOwnRows(id));
    const uint64_t enough = options_.spill_rows / 2;
    if (own.rows <= enough) break;
    // Perhaps no copy is needed: a crash has left them, or no shard has what was erased.
    CO_ASSIGN_OR_RETURN(dropped, co_await DropCopied(PartitionOf(id), own));
    if (dropped >= own.rows - enough) continue;
    CO_ASSIGN_OR_RETURN(dropped, co_await SpillRange(id, own));
    // (None: others change all of them as fast.)
  } while (dropped > 0 && !closing_);
  co_return absl::OkStatus();
}

Task<absl::StatusOr<OwnRows>> RadosEngine::CountOwnRows(PartitionId id) {
  OwnRows own;
  const std::shared_ptr<Partition> partition = PartitionOf(id);
  CO_ASSIGN_OR_RETURN(const PartitionState state, co_await partition->Read({}, nullptr));
  uint64_t largest = 0;
  for (const std::string prefix : {kReferencePrefix, kPortPrefix}) {
    const std::vector<Range> ranges = RangesOf(state.shards, prefix);
    std::vector<uint64_t> counts(ranges.size());
    size_t range = 0;
    std::string at = prefix;
    while (at < EndOf(prefix)) {
      CO_ASSIGN_OR_RETURN(RowPage page, co_await ReadPage(index_.get(), partition->object(), "", at,
                                                          EndOf(prefix), kRowsInPage));
      for (const auto& [key, row] : page.rows) {
        while (key >= ranges[range].to) ++range;
        ++counts[range];
      }
      own.rows += page.rows.size();
      at = std::move(page.until);
    }
    const auto best = std::max_element(counts.begin(), counts.end());
    if (*best <= largest) continue;
    largest = *best;
    // With its neighbours, as far as they fit into one shard with it.
    size_t first = static_cast<size_t>(best - counts.begin()), last = first;
    const auto rows_in = [&](size_t i) {
      return counts[i] + (ranges[i].shard ? ranges[i].shard->rows() : 0);
    };
    own.copied = rows_in(first);
    while (first > 0 && own.copied + rows_in(first - 1) <= options_.shard_rows)
      own.copied += rows_in(--first);
    while (last + 1 < ranges.size() && own.copied + rows_in(last + 1) <= options_.shard_rows) {
      own.copied += rows_in(++last);
    }
    own.from = ranges[first].from;
    own.to = ranges[last].to;
  }
  Step step;
  step.frees = true;
  step.run = [counted = own.rows, before = state.tail.own_rows()](Draft& draft) {
    const uint64_t now = draft.state().tail.own_rows();
    // What was put meanwhile may not be counted.
    const uint64_t rows = counted + (now > before ? now - before : 0);
    if (!draft.state().exists || rows == now) return true;
    draft.state().tail.set_own_rows(rows);
    draft.Touch();
    return true;
  };
  CO_RETURN_IF_ERROR(co_await partition->Post(std::move(step)));
  co_return own;
}

Task<absl::StatusOr<uint64_t>> RadosEngine::SpillRange(PartitionId id, OwnRows own) {
  const std::shared_ptr<Partition> partition = PartitionOf(id);
  const uint64_t number = NewNumber();
  auto noted = std::make_shared<bool>();
  Step note;
  note.run = [noted, own, number](Draft& draft) {
    *noted = false;
    const PartitionState& state = draft.state();
    if (!state.exists || FillingOf(state) != 0) return true;
    // Its ends are still those of ranges.
    const std::vector<Range> ranges = RangesOf(state.shards, own.from.substr(0, 2));
    const auto begins = [&](const Range& range) { return range.from == own.from; };
    const auto ends = [&](const Range& range) { return range.to == own.to; };
    if (std::none_of(ranges.begin(), ranges.end(), begins) ||
        std::none_of(ranges.begin(), ranges.end(), ends)) {
      return true;
    }
    Alter(draft, [&](stored::ShardList* list) {
      list->mutable_filling()->set_from(own.from);
      list->mutable_filling()->set_to(own.to);
      list->mutable_filling()->set_number(number);
    });
    *noted = true;
    return true;
  };
  CO_RETURN_IF_ERROR(co_await partition->Post(std::move(note)));
  if (!*noted) co_return absl::AbortedError("somebody else is busy with it");
  options_.at("filling noted");

  auto begun = std::make_shared<uint32_t>(0);
  const absl::StatusOr<std::vector<stored::ShardRange>> pieces =
      co_await CopyRows(partition, number, own, begun);
  absl::Status status = pieces.status();
  if (pieces.ok()) {
    options_.at("shards written");
    auto replaced = std::make_shared<bool>();
    Step replace;
    replace.frees = true;
    replace.run = [replaced, own, number, pieces = *pieces, now = StoreTime()](Draft& draft) {
      *replaced = FillingOf(draft.state()) == number;
      if (!*replaced) return true;
      Alter(draft, [&](stored::ShardList* list) {
        Replace(own.from, own.to, pieces, now, list);
        list->clear_filling();
      });
      return true;
    };
    status = co_await partition->Post(std::move(replace));
    if (status.ok() && !*replaced) status = absl::AbortedError("this run was taken for dead");
  }
  if (!status.ok()) {
    CO_RETURN_IF_ERROR(co_await EndFilling(id, number, *begun));
    co_return status;
  }
  ++spills_;
  options_.at("shards named");
  RemoveGoneLater(id);
  co_return co_await DropCopied(partition, own);
}

Task<absl::StatusOr<std::vector<stored::ShardRange>>> RadosEngine::CopyRows(
    std::shared_ptr<Partition> partition, uint64_t number, OwnRows own, std::shared_ptr<uint32_t> begun) {
  // Alike in size.
  const uint64_t count = std::max<uint64_t>(1, (own.copied + options_.shard_rows - 1) / options_.shard_rows);
  const uint64_t in_piece = std::max<uint64_t>(1, (own.copied + count - 1) / count);
  std::vector<stored::ShardRange> pieces;
  std::string from = own.from;
  Rows rows, next;
  RowScan scan(index_.get(), partition->object(), own.from, own.to);
  bool more = true;
  while (more || !rows.empty()) {
    if (closing_) co_return absl::AbortedError("the store is being closed");
    if (more && rows.size() < in_piece) {
      CO_ASSIGN_OR_RETURN(more, co_await scan.Next(&next));
      for (auto& row : next) rows.push_back(std::move(row));
      continue;
    }
    const size_t taken = std::min<size_t>(rows.size(), in_piece);
    const auto rest = rows.begin() + static_cast<std::ptrdiff_t>(taken);
    Rows piece(std::make_move_iterator(rows.begin()), std::make_move_iterator(rest));
    rows.erase(rows.begin(), rest);
    const std::string end = rows.empty() ? After(piece.back().first) : rows.front().first;
    *begun = static_cast<uint32_t>(pieces.size()) + 1;
    CO_ASSIGN_OR_RETURN(stored::ShardRange written,
                        co_await WriteShard(index_.get(), partition->object(), number,
                                            static_cast<uint32_t>(pieces.size()), std::move(piece)));
    written.set_from(from);
    pieces.push_back(std::move(written));
    from = end;
    options_.at("shard written");
  }
  // Behind the last key of all, where most of what is new comes, there is no shard.
  const bool at_the_end = own.to == EndOf(own.from.substr(0, 2));
  if (pieces.empty() || (at_the_end && from < own.to)) pieces.emplace_back().set_from(from);
  co_return pieces;
}

Task<absl::StatusOr<uint64_t>> RadosEngine::DropCopied(std::shared_ptr<Partition> partition, OwnRows own) {
  uint64_t dropped = 0;
  std::string at = own.from;
  while (at < own.to && !closing_) {
    CO_ASSIGN_OR_RETURN(RowPage page,
                        co_await ReadPage(index_.get(), partition->object(), "", at, own.to, kRowsInPage));
    at = page.until;
    std::vector<std::string> keys;
    for (const auto& [key, row] : page.rows) keys.push_back(key);
    using Values = std::map<std::string, std::optional<std::string>>;
    auto copied = std::make_shared<Values>();
    CO_RETURN_IF_ERROR(
        co_await FindRows(index_.get(), partition->object(), page.shards, std::move(keys), {}, copied.get()));
    for (auto& [key, row] : page.rows) {
      if (FromRow(key, std::move(row)) != copied->at(key)) copied->erase(key);
    }
    if (copied->empty()) continue;
    options_.at("rows compared");
    Step drop;
    drop.frees = true;
    auto in_step = std::make_shared<uint64_t>();
    drop.run = [copied, in_step, shards = page.shards](Draft& draft) {
      *in_step = 0;
      const Shards& now = draft.state().shards;
      if (!draft.state().exists || !now) return true;
      bool known = true;
      for (const auto& [key, value] : *copied) known &= draft.Has(key);
      if (!known) return false;
      for (const auto& [key, value] : *copied) {
        if (Overlaps(now->filling(), key, After(key)) ||
            !IsSameShard(RangeOf(now, key), RangeOf(shards, key))) {
          continue;
        }
        const std::string* const there = draft.Find(key);
        if (there != nullptr ? value != *there : value.has_value()) continue;
        draft.Drop(key);
        ++*in_step;
      }
      return true;
    };
    CO_RETURN_IF_ERROR(co_await partition->Post(std::move(drop)));
    dropped += *in_step;
    options_.at("rows dropped");
  }
  co_return dropped;
}

// Ends a copy that will not be finished. Its shards go only when it is certain that nobody
// will ever read them.
Task<absl::Status> RadosEngine::EndFilling(PartitionId id, uint64_t number, uint32_t begun) {
  auto named = std::make_shared<bool>();
  while (true) {
    Step step;
    step.frees = true;
    step.run = [named, number](Draft& draft) {
      *named = false;
      if (FillingOf(draft.state()) == number) {
        Alter(draft, [](stored::ShardList* list) { list->clear_filling(); });
        return true;
      }
      *named = NamesNumber(draft.state().shards, number);
      return draft.IsFresh();
    };
    const absl::Status status = co_await PartitionOf(id)->Post(std::move(step));
    if (status.ok()) break;
    // As long as this run lives nobody else ends what it has begun.
    if (!absl::IsUnavailable(status) || closing_) co_return status;
    co_await later_->Sleep(options_.life_interval);
  }
  options_.at("filling ended");
  bool there = !*named;
  // (Others may have removed the first of them.)
  for (uint32_t piece = 0; !*named && (there || piece < begun); ++piece) {
    CO_ASSIGN_OR_RETURN(there, co_await RemoveShard(index_.get(), number, piece));
  }
  co_return absl::OkStatus();
}

void RadosEngine::RemoveGoneLater(PartitionId id) {
  BeginTask();
  later_->After(options_.gone_shards_kept + absl::Seconds(1), [this, id] {
    if (!closing_) RunAlone(RemoveGone(id));
    EndTask();
  });
}

Task<absl::Status> RadosEngine::RemoveGone(PartitionId id) {
  const std::shared_ptr<Partition> partition = PartitionOf(id);
  CO_ASSIGN_OR_RETURN(const PartitionState state, co_await partition->Read({}, nullptr));
  if (!state.shards) co_return absl::OkStatus();
  const uint64_t kept = static_cast<uint64_t>(absl::ToInt64Seconds(options_.gone_shards_kept));
  auto removed = std::make_shared<std::set<std::pair<uint64_t, uint32_t>>>();
  for (const stored::GoneShard& gone : state.shards->gone()) {
    if (gone.since_s() + kept > StoreTime()) continue;
    CO_RETURN_IF_ERROR((co_await RemoveShard(index_.get(), gone.number(), gone.piece())).status());
    removed->emplace(gone.number(), gone.piece());
  }
  if (removed->empty()) co_return absl::OkStatus();
  options_.at("gone shards removed");
  Step step;
  step.frees = true;
  step.run = [removed](Draft& draft) {
    if (!draft.state().shards) return true;
    Alter(draft, [&](stored::ShardList* list) {
      auto* const all = list->mutable_gone();
      const auto is_removed = [&](const auto& gone) {
        return removed->count({gone.number(), gone.piece()}) > 0;
      };
      all->erase(std::remove_if(all->begin(), all->end(), is_removed), all->end());
    });
    return true;
  };
  co_return co_await partition->Post(std::move(step));
}

// Of a partition that is gone.
Task<absl::Status> RadosEngine::RemoveShards(Shards shards) {
  if (!shards) co_return absl::OkStatus();
  for (const stored::ShardRange& range : shards->ranges()) {
    if (range.number() == 0) continue;
    CO_RETURN_IF_ERROR((co_await RemoveShard(index_.get(), range.number(), range.piece())).status());
  }
  for (const stored::GoneShard& gone : shards->gone()) {
    CO_RETURN_IF_ERROR((co_await RemoveShard(index_.get(), gone.number(), gone.piece())).status());
  }
  co_return absl::OkStatus();
}

}  // namespace restante::rados
