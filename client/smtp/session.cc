// Input, the phases, and what ends a session.
#include "client/smtp/session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "server/base/clock.h"

namespace restante::smtp {
namespace {

// With its line end. RFC 5321, 4.5.3.1.4, wants 512; parameters add to it.
constexpr size_t kMaxLine = 2048;
// Text is passed on in pieces of at least this, or when it has waited this long:
// the store ends transactions that seem idle.
constexpr size_t kChunk = 32 * 1024;
constexpr size_t kMaxChunk = 64 * 1024;
constexpr int64_t kMaxChunkDelayMicros = 5'000'000;
constexpr size_t kDiscardedIsProgress = 64 * 1024;

bool IsBdat(absl::string_view line) { return ParseCommand(line).verb == Verb::kBdat; }

}  // namespace

Session::Session(const SessionOptions* options, const SessionHost* host, std::function<void()> on_answer)
    : options_(options),
      host_(host),
      on_answer_(std::move(on_answer)),
      self_(std::make_shared<Session*>(this)),
      unproven_([this](UnprovenReplies::Reply reply) {
        host_->store->HandedOver(std::move(reply.transaction_id), std::move(reply.mailboxes));
      }) {}

Session::~Session() {
  *self_ = nullptr;
  Close();
}

void Session::Start(Peer peer) {
  peer_ = std::move(peer);
  if (lmtp() && !peer_.trusted) {
    return SayClosing(kNotTrusted, options_->hostname + " LMTP is for trusted networks only");
  }
  Say(kGreeting, options_->hostname + (lmtp() ? " LMTP" : " ESMTP") + " Restante");
}

bool Session::wants_input() const {
  if (end_of_input_) return false;
  switch (phase_) {
    case Phase::kCommand:
      return slots_.empty();
    case Phase::kText:
      return pending_.empty() && !text_done();
    case Phase::kDiscard:
      return true;
    default:
      return false;
  }
}

void Session::Input(absl::string_view octets) {
  unproven_.Received(octets.size());
  if (phase_ == Phase::kClosed) return;
  if (!pending_.empty()) {
    pending_.append(octets.data(), octets.size());
    return Resume();
  }
  const size_t used = Consume(octets);
  pending_.assign(octets.data() + used, octets.size() - used);
  AfterConsume();
}

void Session::EndOfInput(bool acknowledged) {
  unproven_.Ended(acknowledged);
  end_of_input_ = true;
  Resume();
}

void Session::TlsBegun(std::string tls) {
  tls_ = std::move(tls);
  if (phase_ != Phase::kAwaitTls) return;
  phase_ = Phase::kCommand;
  // RFC 3207, 4.2: nothing that was said in plaintext counts.
  hello_.reset();
  helo_.clear();
  mail_refused_ = false;
  AfterConsume();
}

void Session::IdleTimeout() {
  if (wants_input()) CloseForError(kIdleTooLong, "Idle for too long");
}

void Session::Shutdown(bool now) {
  draining_ = true;
  if (now && wants_input()) {
    SayClosing(kShuttingDown, options_->hostname + " Shutting down");
  } else {
    AfterConsume();
  }
}

void Session::Resume() {
  if (phase_ != Phase::kClosed) {
    pending_begin_ += Consume(absl::string_view(pending_).substr(pending_begin_));
    // Moved to the front only when that pays, so that many commands in one read
    // do not cost a move each.
    if (pending_begin_ * 2 >= pending_.size()) {
      pending_.erase(0, pending_begin_);
      pending_begin_ = 0;
    }
  }
  AfterConsume();
}

size_t Session::Consume(absl::string_view in) {
  size_t used = 0;
  while (true) {
    const Phase before = phase_;
    size_t step = 0;
    const absl::string_view rest = in.substr(used);
    if (phase_ == Phase::kCommand) {
      step = ConsumeLine(rest);
    } else if (phase_ == Phase::kText || phase_ == Phase::kDiscard) {
      step = ConsumeText(rest);
    }
    used += step;
    if (step == 0 && phase_ == before) return used;
  }
}

void Session::AfterConsume() {
  if (phase_ == Phase::kCommand && slots_.empty() && !in_transaction() && draining_) {
    SayClosing(kShuttingDown, options_->hostname + " Shutting down");
  }
  if (end_of_input_) {
    const bool only_input_helps = phase_ == Phase::kCommand   ? slots_.empty()
                                  : phase_ == Phase::kText    ? pending_.empty() && !text_done()
                                  : phase_ == Phase::kDiscard ? true
                                                              : false;
    if (only_input_helps) Close();
  }
  if (phase_ == Phase::kClosed || phase_ == Phase::kAwaitTls || pending_.empty()) {
    // An idle connection keeps no buffer; no plaintext passes for what TLS protects.
    std::string().swap(pending_);
    pending_begin_ = 0;
  }
}

size_t Session::ConsumeLine(absl::string_view in) {
  if (in.empty()) return 0;
  const void* found = std::memchr(in.data(), '\n', in.size());
  if (found == nullptr) {
    if (!skipping_line_ && in.size() < kMaxLine) return 0;
    if (!slots_.empty()) return 0;
    if (!skipping_line_ && IsBdat(in.substr(0, kMaxLine))) SayBadChunk();
    skipping_line_ = true;
    return in.size();
  }
  const size_t length = static_cast<size_t>(static_cast<const char*>(found) - in.data()) + 1;
  if (skipping_line_ || length > kMaxLine) {
    if (!slots_.empty()) return 0;
    ++progress_;
    // The front of one that was skipped was looked at.
    RefuseLine(skipping_line_ ? "" : in.substr(0, kMaxLine), {kLineTooLong, "Line too long"});
    skipping_line_ = false;
    return length;
  }
  // RFC 5321, 2.3.8: only CR LF ends a line. One that ends with a bare LF is
  // answered and not carried out: what two servers could read differently must
  // not become a command, and a person at a keyboard shall see why.
  absl::string_view line = in.substr(0, length);
  if (length < 2 || line[length - 2] != '\r') {
    if (!slots_.empty()) return 0;
    ++progress_;
    RefuseLine(line.substr(0, length - 1), {kBadLine, "Lines must end with CR LF"});
    return length;
  }
  line.remove_suffix(2);
  behind_ = in.substr(length);
  const bool done = Execute(line);
  behind_ = {};
  if (!done) return 0;
  ++progress_;
  return length;
}

size_t Session::ConsumeText(absl::string_view in) {
  if (phase_ == Phase::kDiscard) {
    const size_t used = DecodeText(in, 0, nullptr);
    if (in_transaction()) record_->size += used;
    // No transaction's time bounds what is thrown away: octet by octet it might take
    // for ever.
    discarded_ += used;
    progress_ += discarded_ / kDiscardedIsProgress;
    discarded_ %= kDiscardedIsProgress;
    if (text_done()) FinishText();
    return used;
  }
  if (text_done()) {
    // Only credit was missing, or the chunk is empty.
    FinishText();
    return 0;
  }
  const uint64_t credit = transaction_->credit();
  const uint64_t bound = std::min<uint64_t>(credit, kMaxChunk);
  const size_t before = outgoing_.size();
  const size_t room = before < bound ? static_cast<size_t>(bound) - before : 0;
  const size_t used = DecodeText(in, room, &outgoing_);
  digest_->Update(absl::string_view(outgoing_).substr(before));
  record_->size += outgoing_.size() - before;
  progress_ += used;
  if (outgoing_.size() >= std::min<uint64_t>(kChunk, credit) ||
      host_->clock->MonotonicMicros() - last_chunk_micros_ >= kMaxChunkDelayMicros) {
    SendText();
  }
  if (text_done()) FinishText();
  return used;
}

size_t Session::DecodeText(absl::string_view in, size_t room, std::string* out) {
  return chunks_.has_value() ? chunks_->Decode(in, room, out) : decoder_->Decode(in, room, out);
}

void Session::Close() {
  if (phase_ == Phase::kClosed) return;
  const bool unknown = phase_ == Phase::kAwaitCommit || phase_ == Phase::kSettle;
  if (in_transaction()) EndTransaction(unknown ? TransactionEnd::kUnknown : TransactionEnd::kAborted);
  slots_.clear();
  after_abort_ = nullptr;
  phase_ = Phase::kClosed;
}

void Session::Say(ReplyCode code, absl::string_view text) { AppendReply(code, text, &output_); }

void Session::NoteError(const Reply& reply) {
  ++all_errors_;
  if (host_->on_error == nullptr) return;
  host_->on_error({protocol_name(/*smtputf8=*/false), peer_.address, helo_, reply, all_errors_});
}

bool Session::BearsOneMore() {
  if (++errors_ < options_->max_errors) return true;
  CloseForError(kTooManyErrors, "Too many errors");
  return false;
}

void Session::SayError(const Reply& reply) {
  NoteError(reply);
  if (BearsOneMore()) Say(reply.code, reply.text);
}

void Session::SayOutOfSequence() {
  if (mail_refused_) return Say(kBadSequence, "MAIL was refused");
  SayError({kBadSequence, "Say MAIL first"});
}

void Session::RefuseLine(absl::string_view line, const Reply& reply) {
  if (IsBdat(line)) return SayBadChunk();
  SayError(reply);
}

void Session::SayBadChunk() { CloseForError(kBadChunk, "BDAT takes a size in digits and LAST"); }

void Session::CloseForError(ReplyCode code, absl::string_view text) {
  NoteError({code, std::string(text)});
  SayClosing(code, absl::StrCat(options_->hostname, " ", text, ", closing"));
}

void Session::SayClosing(ReplyCode code, absl::string_view text) {
  Say(code, text);
  Close();
}

absl::string_view Session::protocol_name(bool smtputf8) const {
  const bool tls = !tls_.empty();
  if (smtputf8) {
    if (lmtp()) return tls ? "UTF8LMTPS" : "UTF8LMTP";
    return tls ? "UTF8SMTPS" : "UTF8SMTP";
  }
  if (lmtp()) return tls ? "LMTPS" : "LMTP";
  // Of SMTP without extensions there is no word for TLS.
  if (hello_ == Verb::kHelo) return "SMTP";
  return tls ? "ESMTPS" : "ESMTP";
}

}  // namespace restante::smtp
