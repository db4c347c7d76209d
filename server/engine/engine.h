// The port between the mail domain and whatever keeps the mail.
//
// An engine keeps *partitions* (a mailbox, a domain, the directory), each a
// small head and a sorted map of keys to values, and *bodies*, immutable octets
// that entries refer to. One partition changes atomically; only Commit changes
// several. Mail logic knows this file and no engine.
//
// Every call is asynchronous: `done` is called exactly once, on any thread,
// possibly before the call returns, and never under a lock of the engine's. A
// caller that cannot have that brings a Strand (base/strand.h). All functions may
// be called from any thread. Nothing here blocks on a disk or a network.
//
// Errors of every function unless said otherwise: kUnavailable when the engine
// cannot answer now, or is read-only; kDataLoss when what it read is damaged.
#ifndef RESTANTE_SERVER_ENGINE_ENGINE_H_
#define RESTANTE_SERVER_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/histogram.h"
#include "server/engine/types.h"
#include "server/engine/upkeep.h"

namespace restante::engine {

template <typename T>
using Done = absl::AnyInvocable<void(T)>;

using Values = absl::flat_hash_map<std::string, std::string>;

// --- one partition -----------------------------------------------------------

// What an update function sees of its partition.
struct View {
  const stored::Head* head;  // Null where there is no such partition.
  const Values& values;      // Of the keys asked for, those that exist.
};

// What it wants changed. All in one step, or nothing.
struct Change {
  stored::Head head;  // The new head, whole.
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<std::string> erased;
  // One reference less for each of these bodies (an entry is erased), or one
  // more (an entry is copied). A body without references is dropped, soon. A body that
  // is not there (any more) makes the whole update kNotFound.
  std::vector<BodyId> released_bodies;
  std::vector<BodyId> added_bodies;
  // The partition ends with this change: head and all keys go. It must hold no
  // entries any more (kFailedPrecondition), and the directory does not end.
  bool erase_partition = false;
  // As in CommitRequest.
  bool unmeasured = false;
};
struct NeedKeys {
  std::vector<std::string> keys;  // In addition to those already asked for.
};
struct NoChange {};
using Verdict = std::variant<Change, NeedKeys, NoChange>;

// Pure but for results that it leaves with its caller; may be run again, on any
// thread, and the last run counts. An error ends the update and is its result.
using UpdateFn = std::function<absl::StatusOr<Verdict>(const View&)>;

struct ReadResult {
  std::optional<stored::Head> head;
  Values values;
  Reserved reserved;  // Mailbox: its own. Domain: the sum of its mailboxes'.
  // Domain: sums over its mailboxes.
  uint64_t used_bytes = 0, used_messages = 0, mailboxes = 0;
  // Of ReadRecent: it may have been so a few seconds ago.
  bool recent = false;
};

struct ScanPage {
  std::vector<std::pair<std::string, std::string>> items;  // Ascending by key.
  bool more = false;                                       // There are further keys below `to`.
};

// --- reservations -------------------------------------------------------------

// What a delivery wants in one mailbox, for one message.
struct Demand {
  // Octets wanted. With `at_least` below it, any amount from there on is taken
  // when there is less room.
  uint64_t bytes = 0;
  uint64_t at_least = 0;
  // Charged, but not refused for quota (postmaster).
  bool exempt = false;
};

// Limits of the server, which inheritance ends in, and of engines' bookkeeping.
struct QuotaRules {
  stored::Limit default_bytes, default_messages;  // VALUE, else unlimited.
  uint64_t grace_bytes = 0;                       // `--quota-grace`
  int64_t soft_after_us = 30'000'000;             // `--reserve-idle`
  uint32_t deliveries_per_mailbox = 256;
  // Percent of a limit, ascending (`--quota-thresholds`); empty: no crossing is
  // recorded. One is left when usage is `threshold_slack` below it.
  std::vector<uint32_t> thresholds = {80, 90, 95, 100};
  uint32_t threshold_slack = 2;
};

struct Granted {
  uint64_t bytes = 0;
};
struct TooManyDeliveries {
  uint32_t limit = 0;
};
// kNotFound in Reserve: no such mailbox, or it is being deleted.
using ReserveResult = std::variant<Granted, Shortage, TooManyDeliveries>;

struct Opened {};
struct InUse {};  // The id belongs to a transaction that is open or committing.
using OpenResult = std::variant<Opened, Shortage, InUse, stored::Receipt>;

// What a transaction lost to others while it was soft, or could not be given.
struct Lost {
  uint64_t mailbox = 0;  // Partition number.
  Shortage shortage;
};

struct Confirmed {
  std::vector<Lost> lost;
  std::optional<Shortage> disk;  // Set: the disk's room was lost; nothing holds.
};

struct Extended {
  std::vector<Lost> lost;        // These could not grow. What they had is kept
                                 // until released.
  std::optional<Shortage> disk;  // Set: the disk has no more room for it.
};

// --- bodies ----------------------------------------------------------------------

// A body that is complete but named by no entry. Destroyed unless committed.
class StagedBody {
 public:
  virtual ~StagedBody() = default;
  virtual uint64_t size() const = 0;
  virtual uint32_t crc32c() const = 0;
  // What entries will name it by.
  virtual BodyId id() const = 0;
};

// Takes one body. Append any number of times, each after the last was done;
// then Finish once. A writer destroyed without Finish leaves nothing behind,
// even while an Append is running. One owner; writers are independent.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  virtual void Append(std::string octets, Done<absl::Status> done) = 0;
  virtual void Finish(Done<absl::StatusOr<std::unique_ptr<StagedBody>>> done) = 0;
};

// --- committing ------------------------------------------------------------------

struct CommitRequest {
  TransactionId transaction;
  std::unique_ptr<StagedBody> body;
  // One for each mailbox, in any order: partition number and entry; the engine
  // sets uid, modseq, body, size, crc32c and transaction_id. Each mailbox, and the
  // disk, must hold a confirmed reservation of the transaction of at least the
  // body's size.
  std::vector<std::pair<uint64_t, stored::Entry>> entries;
  // Written in the same step; the engine sets the UIDs of recipients whose
  // `outcome` is OUTCOME_OK, by their mailbox, and the store time.
  stored::Receipt receipt;
  // 16 octets: what retries of the same message are recognised by. A mailbox that
  // has an open receipt under it, younger than the retry window, has the message:
  // nothing is entered there, nothing charged, and the recipient gets the UID of
  // that message and who stored it. In each mailbox an open receipt of this
  // transaction is there afterwards, in place of the earlier one, which has served.
  // Empty: none is looked for, and none left.
  //
  // Of two such commits at the same time one is decided first, whichever; the other
  // finds its open receipt, and becomes durable with it or after it, or not at all.
  std::string retry_key;
  // What it crosses is not recorded now, but with the next change of the mailbox: a
  // warning that a mailbox is nearly full must not cause another one.
  bool unmeasured = false;
};

// --- events ------------------------------------------------------------------------

// How long they are kept, in seconds of store time, unless it is set otherwise.
inline constexpr uint64_t kEventRetentionSeconds = 7 * 24 * 60 * 60;

struct EventPage {
  std::vector<stored::Event> events;  // Ascending by sequence.
  // Of the oldest event that is kept and of the next one to come: the same where
  // none is kept.
  uint64_t oldest = 1, next = 1;
};

// --- what one store takes over from another (moving/) --------------------------------

// Receipts and tombstones, each once, those that are not too old.
struct ReceiptPage {
  std::vector<std::pair<TransactionId, stored::Receipt>> receipts;
  std::string next;  // Where the next page begins; empty: this is the last.
};

struct Inheritance {
  // Kept as if they had been written here at their store times.
  std::vector<std::pair<TransactionId, stored::Receipt>> receipts;
  // Set: they are the log of events from now on, in place of all that is in it; ascending.
  std::optional<std::vector<stored::Event>> events;
  // At least: the sequence of the next event, the store time in seconds, and the first
  // number that is given from the next opening on. What is further already stays.
  uint64_t next_event = 0;
  uint64_t store_time_s = 0;
  uint64_t next_number = 0;
};

class Engine {
 public:
  // Ends all work, durably for what was promised, and fails the rest with
  // kCancelled. No call may be running or follow.
  virtual ~Engine() = default;

  // --- partitions ----------------------------------------------------------

  // A number for a new partition or object, never given before.
  virtual uint64_t NewNumber() = 0;

  // Runs `fn` and makes its change durable. Changes of one partition happen one
  // after another; each sees all earlier ones. kNotFound and others as `fn` says.
  virtual void Update(PartitionId partition, std::vector<std::string> keys, UpdateFn fn,
                      Done<absl::Status> done) = 0;

  // Reads head and keys at one moment; sees what is durable only. A partition
  // that does not exist has no head and is not an error.
  virtual void Read(PartitionId partition, std::vector<std::string> keys,
                    Done<absl::StatusOr<ReadResult>> done) = 0;

  // The same without a domain's sums, for whoever does not need the latest: what other
  // stores of the same mail have changed in the last 5 seconds may be missing. Nothing
  // that is not there is in doubt: the absence of a partition or key is of now.
  virtual void ReadRecent(PartitionId partition, std::vector<std::string> keys,
                          Done<absl::StatusOr<ReadResult>> done) {
    Read(partition, std::move(keys), std::move(done));
  }

  // Keys in [from, to), at most `limit`; an empty `to` is the end.
  virtual void Scan(PartitionId partition, std::string from, std::string to, size_t limit,
                    Done<absl::StatusOr<ScanPage>> done) = 0;

  // Numbers of the partitions of a kind above `after`, ascending, with heads.
  virtual void ListPartitions(PartitionId::Kind kind, uint64_t after, size_t limit,
                              Done<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>> done) = 0;

  // --- transactions ----------------------------------------------------------

  // Opens a transaction and reserves `disk_bytes` of the disk for it, softly.
  // A receipt or tombstone of the id is the result if there is one; nothing is
  // opened then.
  virtual void Open(TransactionId transaction, uint64_t disk_bytes,
                    Done<absl::StatusOr<OpenResult>> done) = 0;

  // Reserves room in a mailbox and its domain, softly: after
  // QuotaRules::soft_after_us somebody else may take it until Confirm.
  // A second Reserve of the same mailbox in a transaction raises the first, if need be,
  // and leaves firm what was confirmed; refused, the first stands as it is.
  // kFailedPrecondition: the transaction is not open (any more).
  virtual void Reserve(TransactionId transaction, uint64_t mailbox, Demand demand,
                       Done<absl::StatusOr<ReserveResult>> done) = 0;

  // As Reserve would answer; reserves nothing.
  virtual void Check(uint64_t mailbox, Demand demand, Done<absl::StatusOr<ReserveResult>> done) = 0;

  // Makes all reservations firm, getting back what was taken if there is room.
  // What is lost is released. A disk that became full meanwhile is lost, too.
  virtual void Confirm(TransactionId transaction, Done<absl::StatusOr<Confirmed>> done) = 0;

  // Raises the reservations (disk and every mailbox) to at least `bytes`; grace
  // may be used.
  virtual void Extend(TransactionId transaction, uint64_t bytes, Done<absl::StatusOr<Extended>> done) = 0;

  // Gives up one mailbox's reservation.
  virtual void Release(TransactionId transaction, uint64_t mailbox) = 0;

  // Gives up everything: the transaction is closed. Without effect once Commit
  // was called.
  virtual void Close(TransactionId transaction) = 0;

  // Stores the body in all entries' mailboxes in one step and closes the
  // transaction. The receipt that comes back is durable. kFailedPrecondition:
  // the transaction is not open, or lacks a reservation; kAborted: writing
  // failed; kResourceExhausted: the disk is full. Any error but one: nothing is
  // stored, and nothing of the transaction remains. kUnknown: writing failed and
  // could not be undone, so only the next start will tell; nobody may be told
  // "stored" or "not stored" until Settle answers.
  virtual void Commit(CommitRequest request, Done<absl::StatusOr<stored::Receipt>> done) = 0;

  // The answer to a committed transaction has reached its sender: the open receipts
  // that it left are gone. What commits after this call finds none of them; that
  // becomes durable with what is written next, within a second or so, and nobody is
  // told. Without effect if the transaction is not known (any more), left none, or
  // nothing can be changed now. `mailboxes` helps engines that keep receipts there.
  virtual void HandedOver(TransactionId transaction, std::vector<uint64_t> mailboxes) = 0;

  // The receipt of an id. Waits for a running commit; closes an open
  // transaction; where there is none, makes a tombstone durable and returns it.
  // `mailboxes` helps engines that keep receipts there.
  virtual void Settle(TransactionId transaction, std::vector<uint64_t> mailboxes,
                      Done<absl::StatusOr<stored::Receipt>> done) = 0;

  // --- bodies ------------------------------------------------------------------

  // `expected` octets, if known: a hint.
  virtual std::unique_ptr<BodyWriter> NewBody(std::optional<uint64_t> expected) = 0;

  // Octets [offset, offset+length) of a body, cut at its end; `length` at most
  // 1 MiB. Verified. kNotFound: no such body (any more).
  virtual void ReadBody(BodyId body, uint64_t offset, uint64_t length,
                        Done<absl::StatusOr<std::string>> done) = 0;

  // --- events ------------------------------------------------------------------

  // Where a change makes a mailbox or the pool of a domain reach or leave one of
  // QuotaRules::thresholds (quota::Threshold), that is recorded in the very same step:
  // the event is durable if, and only if, the change is, and the partition's head says
  // where it is (`reached_percent`, which is the engine's: `fn` keeps it). Where the
  // limit of many mailboxes changes with their domain's, an engine whose steps are of
  // one partition may record theirs with the next look at each. What was never
  // recorded, as after a change of QuotaRules, is recorded at a start. The disk's
  // becoming full and having room again is an event, too, soon after it happened.
  //
  // Events are dropped after a time that is the engine's to be told.

  // Those with a sequence above `after`, ascending, at most `limit`; durable ones
  // only. Where `after` + 1 is below `oldest`, some between are not kept any more.
  virtual void ReadEvents(uint64_t after, size_t limit, Done<absl::StatusOr<EventPage>> done) = 0;

  // Calls `listener` when events have become durable, on any thread; null: nobody any
  // more, though a call that is under way may still come.
  virtual void OnEvents(std::function<void()> listener) = 0;

  // --- taking over from another store -----------------------------------------------
  // For a store that nobody is served from yet.

  // As Update, with bodies that come along: one that `fn` names in added_bodies is there
  // afterwards, in the same step; others go. Reserves nothing: whether there is room is
  // the caller's to see. kInvalidArgument: a body of another engine.
  virtual void UpdateWith(std::vector<std::unique_ptr<StagedBody>> bodies, PartitionId partition,
                          std::vector<std::string> keys, UpdateFn fn, Done<absl::Status> done) = 0;

  // About `limit` receipts from a place on, empty: from the first; durable ones only. What
  // is written meanwhile may be missed.
  virtual void ReadReceipts(std::string from, size_t limit, Done<absl::StatusOr<ReceiptPage>> done) = 0;

  // Makes it durable. May be repeated.
  virtual void Inherit(Inheritance inheritance, Done<absl::Status> done) = 0;

  // The sum of the times that it was open, in seconds: what ages are counted by.
  virtual uint64_t store_time_s() = 0;

  // Waits until nobody but this process can change anything, and what others have left
  // unfinished is finished. kUnavailable: another store is running; it is named.
  virtual void BeAlone(Done<absl::Status> done) { done(absl::OkStatus()); }

  // --- the whole -----------------------------------------------------------------

  virtual Capacity GetCapacity() = 0;

  // Whether any domain partition exists: a store that hosts nothing is not set up.
  virtual bool HasDomains() = 0;

  // Checks what only the engine can see (references of bodies, own figures) and
  // reports each problem as one line. Changes nothing. `progress` gets the bodies
  // checked so far.
  virtual void VerifyBodies(std::function<void(uint64_t)> progress,
                            Done<absl::StatusOr<std::vector<std::string>>> done) = 0;

  // --- upkeep; kUnimplemented where an engine has no such thing ---------------------

  // As VerifyBodies, and sets right what can be.
  virtual void RepairBodies(std::function<void(uint64_t)> /*progress*/, Done<absl::StatusOr<Repairs>> done) {
    done(Without("repairs nothing"));
  }

  // Reads every stored octet and compares it with its checksums, at most
  // `bytes_per_second` (0: as fast as it goes). Damage is a finding, not an error.
  // kFailedPrecondition: one that somebody asked for is running.
  virtual void Scrub(uint64_t /*bytes_per_second*/, UpkeepReport /*report*/, Done<absl::Status> done) {
    done(Without("keeps nothing that could be scrubbed"));
  }
  // The last scrub that came to its end, over restarts, asked for or not.
  virtual std::optional<ScrubResult> LastScrub() { return std::nullopt; }

  // Gives back the room of what was deleted, now and completely, where the
  // background would take its time. `done_bytes`: given back so far.
  virtual void Compact(UpkeepReport /*report*/, Done<absl::Status> done) {
    done(Without("keeps nothing that could be compacted: the room of what is deleted is free at once"));
  }

  // Makes a directory a backup of one moment of the store. What an earlier backup
  // left there is used again, and stays a backup until this one is finished.
  // Damage of the store is reported and does not stop it, unless the log cannot be
  // read (kDataLoss). kInvalidArgument: not an absolute path; kNotFound: there is
  // nothing to make it in; kFailedPrecondition: it holds something else, or a
  // backup is running; kResourceExhausted: its disk is full.
  virtual void Backup(BackupOptions /*options*/, UpkeepReport /*report*/,
                      Done<absl::StatusOr<BackupSummary>> done) {
    done(Without("keeps nothing on this machine that could be backed up"));
  }

  // Settles, now, what other stores left open that ended without a word; first it is found
  // out which of them live, and what is theirs is not touched.
  virtual void SettleDead(SettleReport /*report*/, Done<absl::Status> done) {
    done(Without("serves one store alone: no other can have left anything to settle"));
  }
  // Removes, now, the bodies that such stores left and that no message names.
  virtual void SweepOrphans(SweepReport /*report*/, Done<absl::Status> done) {
    done(Without("serves one store alone: no other can have left anything to sweep away"));
  }

  // Figures for operators, by name with unit; `open_transactions` always.
  virtual std::map<std::string, uint64_t> Figures() = 0;
  // The same for what is spread, `group_commits` and `group_sync_seconds` if it writes
  // in groups.
  virtual std::map<std::string, Histogram::Values> Histograms() { return {}; }
  virtual absl::string_view name() const = 0;

 private:
  absl::Status Without(absl::string_view what) const {
    return absl::UnimplementedError(absl::StrCat("the engine `", name(), "` ", what));
  }
};

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_ENGINE_H_
