'use strict'
// What the store decided, as an SMTP reply; the same table as in
// client/smtp/outcome_reply.cc. What has no row is temporary.

const ROWS = {
  OUTCOME_MAILBOX_FULL: [452, '2.2', 'Mailbox full', true],
  OUTCOME_MAILBOX_FULL_PERMANENTLY: [552, '2.2', 'Mailbox full', true],
  OUTCOME_DOMAIN_FULL: [452, '3.1', "The domain's storage is full"],
  OUTCOME_EXCEEDS_MAILBOX_LIMIT: [552, '2.3', 'Message larger than the whole mailbox', true],
  OUTCOME_DISK_FULL: [452, '3.1', 'Insufficient system storage'],
  OUTCOME_MESSAGE_TOO_LARGE: [552, '3.4', 'Message too large for this system'],
  OUTCOME_NO_SUCH_MAILBOX: [550, '1.1', 'No such mailbox', true],
  OUTCOME_FOREIGN_DOMAIN: [550, '7.1', 'Domain not hosted here, no relaying', true],
  OUTCOME_MAILBOX_DISABLED: [550, '2.1', 'Mailbox disabled', true],
  OUTCOME_MAILBOX_ON_HOLD: [450, '2.1', 'Mailbox on hold', true],
  OUTCOME_NOT_CONFIGURED: [451, '3.0', 'No destination configured'],
  OUTCOME_TOO_MANY_RECIPIENTS: [452, '5.3', 'Too many recipients'],
  OUTCOME_TOO_MANY_DELIVERIES: [450, '2.1', 'Too many deliveries to this mailbox now', true],
  OUTCOME_CLIENT_LIMIT: [450, '2.1', 'Too much under way from your address', true],
  OUTCOME_NO_RECIPIENTS: [503, '5.1', 'No valid recipients'],
  OUTCOME_READ_ONLY: [451, '3.2', 'Storage is read-only now'],
  OUTCOME_DRAINING: [421, '3.2', 'Storage is being restarted'],
  OUTCOME_INVALID_ADDRESS: [550, '1.3', 'Not a valid address', true],
}
const TRY_AGAIN = [451, '3.0', 'Temporary failure, try again later']

// Haraka takes code and text from an object whose class has this name.
class DSN {
  constructor([code, detail, text]) {
    this.code = code
    // The first digit is derived, never stored twice.
    this.reply = `${String(code)[0]}.${detail} ${text}`
  }

  get permanent() {
    return this.code >= 500
  }
}

function forOutcome(outcome) {
  return new DSN(ROWS[outcome] ?? TRY_AGAIN)
}

// The one reply for a message that was stored for nobody. Permanent only if every
// recipient is refused permanently.
function forAll(outcomes) {
  const failed = outcomes.filter((outcome) => outcome !== 'OUTCOME_OK')
  if (failed.length === 0) return forOutcome()
  const replies = failed.map(forOutcome)
  const same = failed.every((outcome) => outcome === failed[0])
  if (replies.every((r) => r.permanent) && failed.length === outcomes.length) return replies[0]
  if (same && !replies[0].permanent) return replies[0]
  return failed.some((outcome) => ROWS[outcome]?.[3])
    ? new DSN([452, '2.2', 'Not every mailbox could take the message'])
    : new DSN([452, '3.1', "Not every recipient's storage could take the message"])
}

module.exports = { forOutcome, forAll }
