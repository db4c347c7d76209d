'use strict'
// How Haraka reaches the store and is known there, by restante.ini.

const fs = require('node:fs')
const grpc = require('@grpc/grpc-js')

// Certificates are read now, the token before each call.
module.exports = function credentials({ store_ca, store_cert, store_key, store_token_file }) {
  if (!store_ca) {
    if (store_cert || store_token_file) throw new Error('restante.ini: store_cert and store_token_file need store_ca')
    return grpc.credentials.createInsecure()
  }
  const read = (file) => (file ? fs.readFileSync(file) : null)
  const tls = grpc.credentials.createSsl(read(store_ca), read(store_key), read(store_cert))
  if (!store_token_file) return tls
  const token = grpc.credentials.createFromMetadataGenerator((_, done) => {
    fs.readFile(store_token_file, 'utf8', (error, text) => {
      if (error) return done(error)
      const metadata = new grpc.Metadata()
      metadata.set('authorization', `Bearer ${text.trim()}`)
      done(null, metadata)
    })
  })
  return grpc.credentials.combineChannelCredentials(tls, token)
}
