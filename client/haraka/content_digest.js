'use strict'
// What two attempts to deliver a message have in common: v1.Commit.digest. The same
// rules, and octet by octet the same value, as client/smtp/content_digest.h, so that
// a retry is recognised whichever front end it comes through.

const crypto = require('node:crypto')

const LEFT_OUT = new Set(['return-path', 'delivered-to', 'envelope-to', 'delivery-date'])
// Longer names are none of those that matter.
const MAX_NAME = 64
const [TAB, LF, CR, SPACE, COLON] = Buffer.from('\t\n\r :')

const isBlank = (c) => c === SPACE || c === TAB
const isSpace = (c) => c === SPACE || (c >= TAB && c <= CR)
const isGraph = (c) => c > SPACE && c < 0x7f

class ContentDigest {
  // `fromTrustedClient`: the Received fields above all others were put there by it,
  // and by what stands before it.
  constructor(fromTrustedClient) {
    this.fromTrustedClient = fromTrustedClient
    this.hash = crypto.createHash('sha256')
    this.take = this.name
    this.begun = '' // Of a line of the header, up to the colon.
    this.behindCr = false
    this.inField = false
    this.skipping = false
    this.aboveOthers = true
    this.has = { 'message-id': false, date: false }
    this.wanted = null
  }

  // The next octets of the text, however they are split.
  update(octets) {
    while (octets.length > 0) octets = octets.subarray(this.take(octets))
  }

  // 32 octets; none for a message without Message-ID or Date. Ends it.
  finish() {
    this.hash.update(this.begun, 'latin1')
    return this.has['message-id'] && this.has.date ? this.hash.digest() : Buffer.alloc(0)
  }

  // Each of the following takes octets from the front and returns how many.

  name(octets) {
    const c = octets[0]
    const behindCr = this.begun === '\r'
    if (this.begun === '' && isBlank(c) && this.inField) {
      // RFC 5322, 2.2.3: the field before goes on.
      this.take = this.value
      return 0
    }
    if (c === COLON && this.begun !== '' && !behindCr) {
      this.beginField()
      return 0
    }
    // Graphic characters, and behind them blanks, by an old custom (RFC 5322, 4.5).
    const before = this.begun.charCodeAt(this.begun.length - 1)
    const mayBeName = this.begun === '' ? isGraph(c) : isBlank(c) || (isGraph(c) && !isBlank(before))
    this.begun += String.fromCharCode(c)
    if (this.begun === '\r') return 1
    if (behindCr || !mayBeName) {
      // The empty line; or what is no field, which ends the header, too.
      this.endHeader()
    } else if (this.begun.length > MAX_NAME) {
      this.beginField()
    }
    return 1
  }

  value(octets) {
    let length = 0
    let ended = false
    while (length < octets.length && !ended) {
      const at = octets.indexOf(LF, length)
      if (at < 0) {
        length = octets.length
        break
      }
      ended = at === 0 ? this.behindCr : octets[at - 1] === CR
      length = at + 1
    }
    const value = octets.subarray(0, length)
    this.behindCr = value[length - 1] === CR
    // (The colon is the first octet that comes here.)
    if (this.wanted && value.some((c) => c !== COLON && !isSpace(c))) this.has[this.wanted] = true
    if (!this.skipping) this.hash.update(value)
    if (ended) this.take = this.name
    return length
  }

  body(octets) {
    this.hash.update(octets)
    return octets.length
  }

  beginField() {
    const name = this.begun.trimEnd().toLowerCase()
    const received = name === 'received'
    this.skipping = LEFT_OUT.has(name) || (received && this.fromTrustedClient && this.aboveOthers)
    this.aboveOthers &&= this.skipping || received
    this.wanted = Object.hasOwn(this.has, name) ? name : null
    if (!this.skipping) this.hash.update(this.begun, 'latin1')
    this.begun = ''
    this.inField = true
    this.take = this.value
  }

  endHeader() {
    this.hash.update(this.begun, 'latin1')
    this.begun = ''
    this.take = this.body
  }
}

module.exports = ContentDigest
