#include "server/engine/rados/bodies.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"

namespace restante::rados {
namespace {

constexpr char kMeta[] = "meta", kSeq[] = "seq";
constexpr uint64_t kLongestRead = 1024 * 1024;
constexpr size_t kCachedMetas = 10'000;

absl::Status NoSuchBody(BodyId body) {
  return absl::NotFoundError(absl::StrCat("body ", static_cast<uint64_t>(body), ": no such body"));
}
absl::Status Damaged(BodyId body, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("body ", static_cast<uint64_t>(body), ": ", what));
}

absl::StatusOr<BodyState> StateOf(BodyId body, const ObjectRead& read) {
  BodyState state;
  if (read.result == -ENOENT) return state;
  if (read.result < 0) return ToStatus(read.result, BodyObject(body));
  const auto meta = read.xattrs.find(kMeta), seq = read.xattrs.find(kSeq);
  if (meta == read.xattrs.end() || seq == read.xattrs.end() || !state.meta.ParseFromString(meta->second)) {
    return Damaged(body, "its attributes are damaged");
  }
  state.exists = true;
  state.seq = seq->second;
  return state;
}

std::string Next(const std::string& seq) { return Hex(FromHex(seq).value_or(0) + 1); }

}  // namespace

// --- bodies that arrive ------------------------------------------------------------

BodyParts::BodyParts(Bodies* bodies, BodyId body) : id(body), bodies_(bodies) {
  absl::MutexLock lock(&bodies_->mutex_);
  bodies_->being_written_.insert(id);
}

BodyParts::~BodyParts() {
  if (!committed) bodies_->RemoveParts(id, written);
  absl::MutexLock lock(&bodies_->mutex_);
  bodies_->being_written_.erase(id);
}

void BodyParts::Take(absl::string_view octets) {
  meta.set_crc32c(Crc32c(octets, meta.crc32c()));
  tail.append(octets.data(), octets.size());
  while (!octets.empty()) {
    const uint64_t in_block = meta.size() % kBlockSize;
    const absl::string_view step = octets.substr(0, kBlockSize - in_block);
    if (in_block == 0) meta.add_block_crc32c(0);
    block_crc_ = Crc32c(step, in_block == 0 ? 0 : block_crc_);
    meta.set_block_crc32c(meta.block_crc32c_size() - 1, block_crc_);
    meta.set_size(meta.size() + step.size());
    octets.remove_prefix(step.size());
  }
}

class Bodies::Writer : public engine::BodyWriter {
 public:
  explicit Writer(Bodies* bodies)
      : bodies_(bodies), parts_(std::make_shared<BodyParts>(bodies, bodies->new_id_())) {}

  void Append(std::string octets, engine::Done<absl::Status> done) override {
    parts_->Take(octets);
    if (parts_->tail.size() <= kPieceSize) return done(absl::OkStatus());
    Start<absl::Status>(bodies_->WritePieces(parts_), std::move(done));
  }

  void Finish(engine::Done<absl::StatusOr<std::unique_ptr<engine::StagedBody>>> done) override {
    done(std::make_unique<RadosBody>(std::move(parts_)));
  }

 private:
  Bodies* const bodies_;
  std::shared_ptr<BodyParts> parts_;
};

std::unique_ptr<engine::BodyWriter> Bodies::NewBody() { return std::make_unique<Writer>(this); }

Task<absl::Status> Bodies::WritePieces(std::shared_ptr<BodyParts> parts) {
  size_t taken = 0;
  absl::Status status;
  while (parts->tail.size() - taken > kPieceSize) {
    const uint64_t at = parts->written % kPartSize;
    WriteOp op = pool_->NewWrite();
    if (at == 0) op.Create(/*exclusive=*/true);
    op.Write(absl::string_view(parts->tail).substr(taken, kPieceSize), at);
    const std::string object = BodyPart(parts->id, parts->written / kPartSize);
    // (Octets come when room was promised to them: also where the cluster is full since.)
    const int result = co_await pool_->Write(object, std::move(op), /*frees=*/true);
    if (result < 0) {
      // Perhaps there is something of it: it is removed as if it were there.
      parts->written += kPieceSize;
      co_return ToStatus(result, object);
    }
    parts->written += kPieceSize;
    taken += kPieceSize;
  }
  parts->tail.erase(0, taken);
  co_return absl::OkStatus();
}

void Bodies::RemoveParts(BodyId body, uint64_t written) {
  for (uint64_t part = 0; part < PartsOf(written); ++part) {
    pool_->Write(BodyPart(body, part), std::move(pool_->NewWrite().Remove()), /*frees=*/true, [](int) {});
  }
}

Task<absl::Status> Bodies::Seal(std::shared_ptr<BodyParts> parts, std::optional<TransactionId> transaction,
                                std::vector<uint64_t> holders) {
  stored::BodyMeta& meta = parts->meta;
  meta.set_tail_size(parts->tail.size());
  if (transaction) meta.set_transaction_id(transaction->ToBytes());
  meta.mutable_holders()->Assign(holders.begin(), holders.end());
  WriteOp op = pool_->NewWrite();
  op.Create(/*exclusive=*/true)
      .Write(parts->tail, 0)
      .SetXattr(kSeq, Hex(1))
      .SetXattr(kMeta, meta.SerializeAsString());
  const std::string object = BodyObject(parts->id);
  const int result = co_await pool_->Write(object, std::move(op), /*frees=*/true);
  co_return ToStatus(result, object);
}

bool Bodies::IsBeingWritten(BodyId body) const {
  absl::MutexLock lock(&mutex_);
  return being_written_.contains(body);
}

// --- reading -----------------------------------------------------------------------

std::optional<stored::BodyMeta> Bodies::CachedMeta(BodyId body) {
  absl::MutexLock lock(&mutex_);
  const auto it = meta_of_.find(body);
  if (it == meta_of_.end()) return std::nullopt;
  metas_.splice(metas_.begin(), metas_, it->second);
  return it->second->second;
}

void Bodies::CacheMeta(BodyId body, const stored::BodyMeta& meta) {
  absl::MutexLock lock(&mutex_);
  if (meta_of_.contains(body)) return;
  metas_.emplace_front(body, meta);
  metas_.front().second.clear_holders();
  meta_of_[body] = metas_.begin();
  if (metas_.size() <= kCachedMetas) return;
  meta_of_.erase(metas_.back().first);
  metas_.pop_back();
}

Task<absl::StatusOr<BodyState>> Bodies::ReadState(BodyId body) {
  ReadOp op = pool_->NewRead();
  op.Xattrs();
  const ObjectRead read = co_await pool_->Read(BodyObject(body), std::move(op));
  co_return StateOf(body, read);
}

Task<absl::StatusOr<std::string>> Bodies::ReadStored(BodyId body, stored::BodyMeta meta, uint64_t from,
                                                     uint64_t to) {
  const uint64_t in_parts = meta.size() - meta.tail_size();
  const bool tail = from >= in_parts;
  const std::string object = tail ? BodyObject(body) : BodyPart(body, from / kPartSize);
  ReadOp op = pool_->NewRead();
  op.Read(tail ? from - in_parts : from % kPartSize, to - from);
  ObjectRead read = co_await pool_->Read(object, std::move(op));
  if (read.result == -ENOENT) co_return NoSuchBody(body);
  if (read.result < 0) co_return ToStatus(read.result, object);
  if (read.octets.size() != to - from) co_return Damaged(body, absl::StrCat("`", object, "` is too short"));
  co_return std::move(read.octets);
}

Task<absl::StatusOr<std::string>> Bodies::Read(BodyId body, uint64_t offset, uint64_t length) {
  if (length > kLongestRead) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("a range of ", length, " bytes, at most ", kLongestRead, " at once"));
  }
  std::string tail;  // As far as it came with the attributes.
  bool has_tail = false;
  std::optional<stored::BodyMeta> meta = CachedMeta(body);
  if (!meta) {
    // A body of one object, as most are, begins with it.
    const uint64_t end = std::min<uint64_t>(offset, kPieceSize) + std::max<uint64_t>(length, 1);
    const uint64_t guess = std::min<uint64_t>(kPieceSize, (end + kBlockSize - 1) / kBlockSize * kBlockSize);
    ReadOp op = pool_->NewRead();
    op.Xattrs().Read(0, guess);
    ObjectRead read = co_await pool_->Read(BodyObject(body), std::move(op));
    CO_ASSIGN_OR_RETURN(BodyState state, StateOf(body, read));
    if (!state.exists) co_return NoSuchBody(body);
    CacheMeta(body, state.meta);
    meta = std::move(state.meta);
    tail = std::move(read.octets);
    if (tail.size() != std::min(guess, meta->tail_size())) co_return Damaged(body, "it is too short");
    has_tail = tail.size() == meta->tail_size() || meta->size() == meta->tail_size();
  }
  const uint64_t from = std::min(offset, meta->size()), to = std::min(meta->size(), from + length);
  if (from == to) {
    if (has_tail) co_return std::string();
    CO_ASSIGN_OR_RETURN(const BodyState state, co_await ReadState(body));
    if (!state.exists) co_return NoSuchBody(body);
    co_return std::string();
  }
  // Whole blocks, for their checksums; each object at once.
  const uint64_t in_parts = meta->size() - meta->tail_size();
  const uint64_t first = from / kBlockSize * kBlockSize;
  const uint64_t last = std::min(meta->size(), (to + kBlockSize - 1) / kBlockSize * kBlockSize);
  std::string octets;
  for (uint64_t at = first; at < last;) {
    const uint64_t end = at < in_parts ? std::min({last, in_parts, (at / kPartSize + 1) * kPartSize}) : last;
    if (at >= in_parts && has_tail) {
      octets.append(tail, at - in_parts, end - at);
    } else {
      CO_ASSIGN_OR_RETURN(std::string piece, co_await ReadStored(body, *meta, at, end));
      if (octets.empty()) {
        octets = std::move(piece);
      } else {
        octets += piece;
      }
    }
    at = end;
  }
  for (uint64_t at = 0; at < octets.size(); at += kBlockSize) {
    const int block = static_cast<int>((first + at) / kBlockSize);
    if (block >= meta->block_crc32c_size() ||
        Crc32c(absl::string_view(octets).substr(at, kBlockSize)) != meta->block_crc32c(block)) {
      co_return Damaged(body, absl::StrCat("octets from ", first + at, " on differ from their checksum"));
    }
  }
  octets.erase(0, from - first);
  octets.resize(to - from);
  co_return octets;
}

// --- holders -----------------------------------------------------------------------

Task<absl::Status> Bodies::AddHolder(BodyId body, uint64_t mailbox) {
  while (true) {
    CO_ASSIGN_OR_RETURN(BodyState state, co_await ReadState(body));
    // Without holders it is being removed.
    if (!state.exists || state.meta.holders_size() == 0) co_return NoSuchBody(body);
    auto* const holders = state.meta.mutable_holders();
    if (std::find(holders->begin(), holders->end(), mailbox) == holders->end()) holders->Add(mailbox);
    WriteOp op = pool_->NewWrite();
    op.CompareXattr(kSeq, state.seq)
        .SetXattr(kSeq, Next(state.seq))
        .SetXattr(kMeta, state.meta.SerializeAsString());
    const int result = co_await pool_->Write(BodyObject(body), std::move(op));
    if (result == -ECANCELED) continue;
    if (result == -ENOENT) co_return NoSuchBody(body);
    co_return ToStatus(result, BodyObject(body));
  }
}

Task<absl::Status> Bodies::RemoveHolder(BodyId body, uint64_t mailbox, BodyState state) {
  if (!state.exists) co_return absl::OkStatus();
  auto* const holders = state.meta.mutable_holders();
  holders->erase(std::remove(holders->begin(), holders->end(), mailbox), holders->end());
  const uint64_t parts = PartsOf(state.meta.size() - state.meta.tail_size());
  WriteOp op = pool_->NewWrite();
  op.CompareXattr(kSeq, state.seq);
  if (holders->empty() && parts == 0) {
    op.Remove();
  } else {
    op.SetXattr(kSeq, Next(state.seq)).SetXattr(kMeta, state.meta.SerializeAsString());
  }
  const int result = co_await pool_->Write(BodyObject(body), std::move(op), /*frees=*/true);
  if (result == -ENOENT) co_return absl::OkStatus();
  if (result < 0) co_return ToStatus(result, BodyObject(body));
  if (holders->empty() && parts > 0) co_return co_await Remove(body, parts);
  co_return absl::OkStatus();
}

Task<absl::Status> Bodies::Remove(BodyId body, uint64_t parts) {
  // The object that names the others goes last.
  for (uint64_t part = 0; part <= parts; ++part) {
    const std::string object = part < parts ? BodyPart(body, part) : BodyObject(body);
    WriteOp op = pool_->NewWrite();
    op.Remove();
    const int result = co_await pool_->Write(object, std::move(op), /*frees=*/true);
    if (result < 0 && result != -ENOENT) co_return ToStatus(result, object);
  }
  co_return absl::OkStatus();
}

}  // namespace restante::rados
