'use strict'
// Replies that say that a message is stored, and may not have reached the sender
// (RFC 1047); as client/smtp/unproven_replies.h. Node does not tell what a peer has
// acknowledged: the one proof here is that it speaks again. A peer that closes
// without a word proves nothing, and the store goes on to expect its retry.

const { setImmediate: turn } = require('node:timers/promises')

class UnprovenReplies {
  constructor(socket) {
    this.socket = socket
    this.received = 0
    this.waiting = []
    // Before Haraka acts on what has come.
    socket.prependListener('data', (octets) => this.take(octets.length))
  }

  // Of a reply that is written as soon as this resolves, while `socket` is paused.
  // Calls `handOver` once octets come that were not there yet: a client may pipeline
  // QUIT, or its next message, behind the dot (RFC 2920, 3.1).
  async add(handOver) {
    // Behind a whole turn of the event loop Node has read what the kernel had.
    await turn()
    await turn()
    const { readableLength: unread, readableHighWaterMark: most, writableLength: unwritten } = this.socket
    // A full buffer is not read on: nobody knows how much waits behind it. And where
    // earlier replies wait for a peer that does not read, this one does not reach it.
    if (unread >= most || unwritten > 0) return
    this.waiting.push({ provenAbove: this.received + unread, handOver })
  }

  take(octets) {
    this.received += octets
    while (this.waiting.length > 0 && this.received > this.waiting[0].provenAbove) this.waiting.shift().handOver()
  }
}

const bySocket = new WeakMap()

// Those of a connection of Haraka's, whose socket changes with STARTTLS.
module.exports = function unprovenReplies(client) {
  const socket = client.targetsocket ?? client
  if (!bySocket.has(socket)) bySocket.set(socket, new UnprovenReplies(socket))
  return bySocket.get(socket)
}
