'use strict'
// Haraka's hooks: MAIL, RCPT, DATA and the queue, as one transaction with the store.

const path = require('node:path')
const grpc = require('@grpc/grpc-js')
const protoLoader = require('@grpc/proto-loader')
const Delivery = require('./delivery')
const reply = require('./reply')

// What Haraka and its plugins put on top of what the sender declared.
const ADDED_HEADERS = 4096

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
  this.client = new DeliveryService(main.store || '127.0.0.1:8354', grpc.credentials.createInsecure(), {
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
  })
}

exports.hook_mail = hook(async function (next, connection, [from, params]) {
  // On its way out: not for us.
  if (connection.relaying) return next()
  const begin = {
    sender: pathOf(from),
    client: { address: connection.remote.ip, helo: connection.hello.host || '' },
  }
  if (Number(params?.SIZE) > 0) begin.declared_size = Number(params.SIZE) + ADDED_HEADERS
  const delivery = new Delivery(this.client, begin, this.patience)
  connection.transaction.notes.restante = delivery
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
  const delivery = connection.transaction.notes.restante
  if (!delivery) return next()
  // Another plugin said OK to a recipient before we were asked.
  if (delivery.accepted !== connection.transaction.rcpt_to.length) {
    connection.logerror(this, 'refused: recipients were accepted that Restante does not know; see config/plugins')
    return deny(next, reply.forOutcome())
  }
  const answer = await delivery.data()
  if (answer.kind === 'ready') return next()
  refuse.call(this, next, connection, answer)
})

exports.hook_queue = hook(async function (next, connection) {
  const delivery = connection.transaction.notes.restante
  if (!delivery) return next()
  const answer = await delivery.store(connection.transaction.message_stream)
  if (answer.kind !== 'receipts') return refuse.call(this, next, connection, answer)
  const { committed, receipts, transaction_id } = answer.receipts
  if (committed) return next(OK, `2.0.0 Stored as ${transaction_id}`)
  deny(next, reply.forAll(receipts.map((receipt) => receipt.outcome)))
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
