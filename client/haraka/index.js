'use strict'
// Haraka's hooks: MAIL, RCPT, DATA and the queue, as one transaction with the store.

const net = require('node:net')
const path = require('node:path')
const grpc = require('@grpc/grpc-js')
const protoLoader = require('@grpc/proto-loader')
const ContentDigest = require('./content_digest')
const credentials = require('./credentials')
const Delivery = require('./delivery')
const reply = require('./reply')
const unprovenReplies = require('./unproven_replies')

// What Haraka and its plugins put on top of what the sender declared.
const ADDED_HEADERS = 4096
const DOT = 0x2e
const CRLF = Buffer.from('\r\n')

exports.register = function () {
  const { main } = this.config.get('restante.ini')
  const protos = path.resolve(__dirname, main.protos || '../../proto')
  const definition = protoLoader.loadSync('restante/v1/delivery.proto', {
    includeDirs: [protos],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  })
  const { DeliveryService } = grpc.loadPackageDefinition(definition).restante.v1
  this.patience = Number(main.patience || 12) * 1000
  this.trusted = networks(main.trusted_networks || '127.0.0.0/8 ::1/128')
  this.client = new DeliveryService(main.store || '127.0.0.1:8354', credentials(main), {
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
  })
}

exports.hook_mail = hook(async function (next, connection, [from, params]) {
  // On its way out: not for us.
  if (connection.relaying) return next()
  const { transaction } = connection
  // An equal message that comes now is another one.
  await connection.notes.restante_handed_over
  if (connection.transaction !== transaction) return next() // The client has gone meanwhile.
  const begin = {
    detect_retries: true,
    sender: pathOf(from),
    client: { address: connection.remote.ip, helo: connection.hello.host || '' },
  }
  if (Number(params?.SIZE) > 0) begin.declared_size = Number(params.SIZE) + ADDED_HEADERS
  const delivery = new Delivery(this.client, begin, this.patience)
  transaction.notes.restante = delivery
  const answer = await delivery.open()
  if (answer.kind === 'begun') return next()
  refuse.call(this, next, connection, answer)
})

exports.hook_rcpt = hook(async function (next, connection, [address]) {
  const delivery = connection.transaction.notes.restante
  if (!delivery) return next()
  const answer = await delivery.recipient(pathOf(address))
  if (answer.kind !== 'decision') return refuse.call(this, next, connection, answer)
  if (answer.decision.outcome === 'OUTCOME_OK') return next(OK)
  deny(next, reply.forOutcome(answer.decision.outcome))
})

exports.hook_data = hook(async function (next, connection) {
  const { transaction, remote } = connection
  const delivery = transaction.notes.restante
  if (!delivery) return next()
  // Another plugin said OK to a recipient before we were asked.
  if (delivery.accepted !== transaction.rcpt_to.length) {
    connection.logerror(this, 'refused: recipients were accepted that Restante does not know; see config/plugins')
    return deny(next, reply.forOutcome())
  }
  const answer = await delivery.data()
  if (answer.kind !== 'ready') return refuse.call(this, next, connection, answer)
  delivery.digest = new ContentDigest(this.trusted.check(remote.ip, family(remote.ip)))
  readAlong(transaction, delivery.digest)
  next()
})

exports.hook_queue = hook(async function (next, connection) {
  const delivery = connection.transaction.notes.restante
  if (!delivery) return next()
  const contentDigest = delivery.digest.finish()
  const answer = await delivery.store(connection.transaction.message_stream, contentDigest)
  if (answer.kind !== 'receipts') return refuse.call(this, next, connection, answer)
  const { committed, receipts, transaction_id } = answer.receipts
  if (!committed) return deny(next, reply.forAll(receipts.map((receipt) => receipt.outcome)))
  for (const { address, first_transaction_id } of receipts) {
    if (first_transaction_id) connection.lognotice(this, `a retry: <${address}> has it as ${first_transaction_id}`)
  }
  if (contentDigest.length > 0) delivery.unproven = answer.receipts
  next(OK, `2.0.0 Stored as ${transaction_id}`)
})

// Behind it Haraka writes its 250.
exports.hook_queue_ok = hook(async function (next, connection) {
  const { unproven } = connection.transaction.notes.restante ?? {}
  if (unproven) {
    await unprovenReplies(connection.client).add(() => {
      const { notes } = connection
      const handedOver = Delivery.handOver(this.client, unproven, this.patience)
      notes.restante_handed_over = Promise.all([notes.restante_handed_over, handedOver])
    })
  }
  next()
})

exports.hook_quit = hook(async function (next, connection) {
  await connection.notes.restante_handed_over
  next()
})

exports.hook_reset_transaction = exports.hook_disconnect = async function (next, connection) {
  await connection.transaction?.notes.restante?.abort()
  next()
}

// Whatever goes wrong in it is temporary for the sender, and not the end of Haraka.
function hook(run) {
  return function (next, connection, params) {
    run.call(this, next, connection, params).catch((error) => {
      connection.logerror(this, error.stack)
      deny(next, reply.forOutcome())
    })
  }
}

// Gives it the text as the sender sends it: without Haraka's own Received, which has
// come before, and without what Haraka and its plugins make of it later.
function readAlong(transaction, contentDigest) {
  const addData = transaction.add_data
  let lineStart = true
  transaction.add_data = function (line) {
    const octets = Buffer.from(line)
    contentDigest.update(lineStart && octets[0] === DOT ? octets.subarray(1) : octets)
    lineStart = octets.subarray(-2).equals(CRLF)
    return addData.call(this, line)
  }
}

// Addresses with or without a prefix length, between blanks or commas.
function networks(text) {
  const list = new net.BlockList()
  for (const network of text.split(/[\s,]+/).filter(Boolean)) {
    const [address, bits] = network.split('/')
    const type = family(address)
    list.addSubnet(address, Number(bits ?? (type === 'ipv6' ? 128 : 32)), type)
  }
  return list
}

function family(address) {
  return net.isIPv6(address) ? 'ipv6' : 'ipv4'
}

function pathOf(address) {
  return address.original.replace(/^<|>$/g, '')
}

function refuse(next, connection, answer) {
  connection.lognotice(this, answer[answer.kind].detail)
  deny(next, reply.forOutcome(answer.refused?.outcome))
}

function deny(next, dsn) {
  next(dsn.permanent ? DENY : DENYSOFT, dsn)
}
