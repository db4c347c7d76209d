'use strict'
// One transaction of DeliveryService.Deliver, on a stream of its own: whoever
// drops the stream drops the reservations.

const crypto = require('node:crypto')
const Stream = require('node:stream')

const TRANSACTION = 1
// Of a gRPC message, which may hold 1 MiB.
const SLICE = 64 * 1024
// Octets of a message on disk that wait here for credit.
const BACKLOG = 256 * 1024

function lost(detail) {
  return { kind: 'lost', lost: { detail } }
}

class Delivery {
  // `client`: a DeliveryService. `begin`: the fields of Begin but for request_id.
  // `patience`: ms for an answer.
  constructor(client, begin, patience) {
    this.client = client
    this.patience = patience
    this.requestId = crypto.randomBytes(16)
    this.begin = { ...begin, request_id: this.requestId, mode: 'ALL_OR_NONE' }
    this.mailboxes = new Set()
    this.accepted = 0
    this.credit = 0
    this.committing = false
    // Refused or lost: the answer to whatever is asked from now on.
    this.end = null
    this.waiting = null
    this.onCredit = () => {}
  }

  // Each of the following resolves with the answer, as { kind, [kind]: message }:
  // what the step is answered by, `refused`, or `lost`. None rejects.

  async open() {
    this.stream = this.client.Deliver()
    this.stream.on('data', (response) => response.answers.forEach((answer) => this.take(answer)))
    this.closed = new Promise((resolve) => {
      this.stream.on('error', (error) => resolve(this.finish(lost(error.message))))
      this.stream.on('end', () => resolve(this.finish(lost('the stream ended'))))
    })
    const answer = await this.ask({ begin: this.begin })
    if (answer.kind === 'begun') this.credit = Number(answer.begun.credit)
    return answer
  }

  async recipient(address) {
    const answer = await this.ask({ recipient: { address } })
    if (answer.kind === 'decision' && answer.decision.outcome === 'OUTCOME_OK') {
      this.accepted++
      this.mailboxes.add(answer.decision.mailbox)
    }
    return answer
  }

  data() {
    return this.ask({ data: {} })
  }

  // Sends the text and commits; `digest` as in Commit. `lost` here means that the
  // message is not stored, or that nobody can tell: the sender has to keep it.
  async store(messageStream, digest) {
    const size = await this.text(messageStream)
    if (this.end !== null) return this.end
    this.committing = true
    const answer = await this.ask({ commit: { size, digest } })
    return answer.kind === 'lost' ? this.settle() : answer
  }

  // Gives up what is not committed, and waits until the store has let go.
  async abort() {
    if (this.committing || !this.stream || this.end?.kind === 'lost') return
    this.send({ abort: {} })
    this.finish(lost('given up'))
    this.stream.end()
    const timer = setTimeout(() => this.stream.cancel(), this.patience)
    await this.closed
    clearTimeout(timer)
  }

  ask(event) {
    if (this.end !== null) return Promise.resolve(this.end)
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.finish(lost(`no answer in ${this.patience} ms`))
        this.stream.cancel()
      }, this.patience)
      this.waiting = (answer) => {
        clearTimeout(timer)
        this.waiting = null
        resolve(answer)
      }
      this.send(event)
    })
  }

  send(event) {
    this.stream.write({ events: [{ transaction: TRANSACTION, ...event }] })
  }

  take(answer) {
    if (answer.kind === 'credit') {
      this.credit += Number(answer.credit.bytes)
      this.onCredit()
    } else if (answer.kind === 'refused') {
      this.finish(answer)
    } else if (this.waiting) {
      this.waiting(answer)
      if (answer.kind === 'receipts') this.finish(lost('over'))
    }
  }

  finish(end) {
    if (this.end === null) this.end = end
    if (this.waiting) this.waiting(end)
    this.onCredit()
    if (end.kind === 'lost') this.stream.end()
  }

  // Sends the text as far as there is credit; resolves with its size when all is
  // sent, or when it is of no use any more.
  text(messageStream) {
    return new Promise((resolve) => {
      const backlog = []
      let waiting = 0
      let size = 0
      let ended = false
      const pump = () => {
        while (this.end === null && backlog.length > 0 && this.credit > 0) {
          const slice = backlog[0].subarray(0, Math.min(this.credit, SLICE))
          if (slice.length === backlog[0].length) backlog.shift()
          else backlog[0] = backlog[0].subarray(slice.length)
          waiting -= slice.length
          this.credit -= slice.length
          size += slice.length
          this.send({ chunk: slice })
        }
        if (this.end !== null) backlog.length = waiting = 0
        if (waiting < BACKLOG && messageStream.rs?.isPaused()) messageStream.resume()
        if (this.end !== null || (ended && backlog.length === 0)) {
          this.onCredit = () => {}
          resolve(size)
        }
      }
      this.onCredit = pump
      // Haraka's stream starts again from the front when it is resumed while it
      // reads from memory: it is paused here, and only while it reads a file.
      const sink = new Stream()
      sink.writable = true
      sink.write = (octets) => {
        backlog.push(Buffer.from(octets))
        waiting += octets.length
        pump()
        if (waiting >= BACKLOG && messageStream.rs) messageStream.pause()
        return true
      }
      sink.end = () => {
        ended = true
        pump()
      }
      messageStream.pipe(sink, { line_endings: '\r\n', ending_dot: false })
    })
  }

  // The answer to Commit was lost: asks what became of it. A store that answers
  // that it is not committed will not commit it afterwards.
  async settle() {
    const deadline = Date.now() + this.patience
    while (Date.now() < deadline) {
      const response = await new Promise((resolve) => {
        this.client.GetReceipt(
          { request_id: this.requestId, mailboxes: [...this.mailboxes] },
          { deadline: new Date(deadline) },
          (error, found) => resolve(error ? null : found),
        )
      })
      if (response) {
        return response.committed
          ? { kind: 'receipts', receipts: response.receipts }
          : lost('the connection was lost, and the message is not stored')
      }
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    return lost(`whether the message is stored is not known after ${this.patience} ms`)
  }
}

// Tells the store that the sender has the reply to what `receipts` say is stored.
// Resolves when the store has taken it, or cannot be told in `patience` ms: then it
// goes on to expect a retry.
Delivery.handOver = function (client, receipts, patience) {
  const stored = receipts.receipts.filter((receipt) => receipt.outcome === 'OUTCOME_OK')
  const handedOver = {
    transaction_id: receipts.transaction_id,
    mailboxes: stored.map((receipt) => receipt.mailbox),
  }
  return new Promise((resolve) => {
    const stream = client.Deliver({ deadline: Date.now() + patience })
    stream.on('error', resolve).on('end', resolve).resume()
    stream.write({ events: [{ handed_over: handedOver }] })
    stream.end()
  })
}

module.exports = Delivery
