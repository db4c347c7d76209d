'use strict'
// Delivers a message as an MTA does, step by step: deliver.js STORE SENDER RECIPIENT... <MESSAGE
//
// STORE is HOST:PORT, the message has CRLF line ends. RESTANTE_STORE_CA, a file, has the
// connection go by TLS; RESTANTE_STORE_CERT and RESTANTE_STORE_KEY, or
// RESTANTE_STORE_TOKEN_FILE, say who we are. Exit status: 0 stored for all, 75 try again
// for some, 69 no use to try again (sysexits.h).

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const grpc = require('@grpc/grpc-js')
const protoLoader = require('@grpc/proto-loader')

const PATIENCE = 300_000 // Milliseconds for the whole, and for an outcome that was lost.
const CHUNK = 64 * 1024
const OK = 'OUTCOME_OK'
// A 5xx of SMTP. Everything else is temporary, what a later version may add among it.
const PERMANENT = [
  'MAILBOX_FULL_PERMANENTLY', 'EXCEEDS_MAILBOX_LIMIT', 'MESSAGE_TOO_LARGE', 'NO_SUCH_MAILBOX', 'FOREIGN_DOMAIN',
  'MAILBOX_DISABLED', 'INVALID_ADDRESS',
].map((name) => `OUTCOME_${name}`)

class Refused extends Error {}

// A stream with one transaction. Its end, however it comes, releases what is reserved.
class Transaction {
  constructor(client) {
    this.stream = client.Deliver({ deadline: Date.now() + PATIENCE })
    this.stream.on('error', () => {}) // It reaches take(), or came after the end.
    this.answers = this.read()
    this.credit = 0
  }

  async *read() {
    for await (const { answers } of this.stream) yield* answers
  }

  send(event) {
    this.stream.write({ events: [{ transaction: 1, ...event }] })
  }

  // The next answer, which is of the kind `wanted`; `credit` may come at any time.
  async take(wanted) {
    while (true) {
      const { value: answer, done } = await this.answers.next()
      if (done) throw new Error('the store ended the stream')
      const { kind, [kind]: about } = answer
      if (kind === 'refused') throw Object.assign(new Refused(about.detail), { outcome: about.outcome })
      if (kind === 'begun') this.credit += Number(about.credit)
      if (kind === 'credit') this.credit += Number(about.bytes)
      if (kind === wanted) return about
    }
  }

  end() {
    this.stream.cancel()
  }
}

// The recipients' outcomes, in order. An MTA keeps `requestId` (16 random octets) with the
// message that it queues: with the same one a repetition stores nothing twice.
async function deliver(client, requestId, sender, recipients, text) {
  const outcomes = []
  const mailboxes = []
  let receipts = []
  let instead = 'OUTCOME_UNAVAILABLE'
  let committing = false
  const transaction = new Transaction(client)
  try {
    // MAIL.
    transaction.send({ begin: { request_id: requestId, sender, declared_size: text.length } })
    await transaction.take('begun')
    // RCPT: with OUTCOME_OK there is room, and it is ours.
    for (const address of recipients) {
      transaction.send({ recipient: { address } })
      const decision = await transaction.take('decision')
      outcomes.push(decision.outcome)
      if (decision.mailbox) mailboxes.push(decision.mailbox)
    }
    if (!outcomes.includes(OK)) return outcomes
    // DATA: from here on a message of the declared size is refused neither for quota nor for disk.
    transaction.send({ data: {} })
    await transaction.take('ready')
    for (let sent = 0; sent < text.length; ) {
      if (transaction.credit === 0) await transaction.take('credit')
      const chunk = text.subarray(sent, sent + Math.min(CHUNK, transaction.credit))
      transaction.send({ chunk })
      transaction.credit -= chunk.length
      sent += chunk.length
    }
    // The final dot: what the receipts call OUTCOME_OK is on disk.
    committing = true
    transaction.send({ commit: { size: text.length } })
    receipts = (await transaction.take('receipts')).receipts
  } catch (error) {
    console.error(error instanceof Refused ? 'refused:' : 'lost:', error.message)
    if (error instanceof Refused) instead = error.outcome
    else if (committing) receipts = await settle(client, requestId, mailboxes)
  } finally {
    transaction.end()
  }
  // Who was accepted, or not asked about, has a receipt or shares what became of the whole.
  return recipients.map((_, i) => {
    if (i < outcomes.length && outcomes[i] !== OK) return outcomes[i]
    return receipts.shift()?.outcome ?? instead
  })
}

// The answer to Commit was lost: asks what became of it. What is not committed then never
// will be; what nobody can tell is tried again, with the same request id.
async function settle(client, requestId, mailboxes) {
  const deadline = Date.now() + PATIENCE
  while (true) {
    try {
      const found = await new Promise((resolve, reject) => {
        const done = (error, response) => (error ? reject(error) : resolve(response))
        client.GetReceipt({ request_id: requestId, mailboxes }, { deadline }, done)
      })
      return found.receipts?.receipts ?? []
    } catch (error) {
      if (error.code !== grpc.status.UNAVAILABLE) {
        console.error('not known:', error.message)
        return []
      }
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

function connect(store) {
  const definition = protoLoader.loadSync('restante/v1/delivery.proto', {
    includeDirs: [path.resolve(__dirname, '../../../proto')],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  })
  const { DeliveryService } = grpc.loadPackageDefinition(definition).restante.v1
  const read = (name) => {
    const file = process.env[`RESTANTE_STORE_${name}`]
    return file ? fs.readFileSync(file) : null
  }
  const authority = read('CA')
  // Without it: for a store on this machine that asks nobody who he is.
  if (!authority) return new DeliveryService(store, grpc.credentials.createInsecure())
  const tls = grpc.credentials.createSsl(authority, read('KEY'), read('CERT'))
  const token = read('TOKEN_FILE')
  if (!token) return new DeliveryService(store, tls)
  const bearer = grpc.credentials.createFromMetadataGenerator((_, done) => {
    const metadata = new grpc.Metadata()
    metadata.set('authorization', `Bearer ${token.toString().trim()}`)
    done(null, metadata)
  })
  return new DeliveryService(store, grpc.credentials.combineChannelCredentials(tls, bearer))
}

async function main(store, sender, ...recipients) {
  const client = connect(store)
  const outcomes = await deliver(client, crypto.randomBytes(16), sender, recipients, fs.readFileSync(0))
  client.close()
  recipients.forEach((address, i) => console.log(address, outcomes[i]))
  const failed = outcomes.filter((outcome) => outcome !== OK)
  if (failed.length === 0) return 0
  return failed.every((outcome) => PERMANENT.includes(outcome)) ? 69 : 75
}

main(...process.argv.slice(2)).then((status) => {
  process.exitCode = status
})
