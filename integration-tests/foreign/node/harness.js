// What the kafkajs tests share: the client with its codecs, names, and waiting for conditions.
'use strict'

const path = require('node:path')
const { createRequire } = require('node:module')

const tools = path.resolve(process.env.TIDEMARK_TOOLS || path.resolve(__dirname, '../../../.tools'))
const python = path.join(tools, 'python', 'bin', 'python')
const load = createRequire(path.join(tools, 'node', 'package.json'))

const kafkajs = load('kafkajs')
const { CompressionTypes, CompressionCodecs, Kafka, logLevel } = kafkajs

// kafkajs brings gzip; the other codecs are plugged in.
CompressionCodecs[CompressionTypes.Snappy] = load('kafkajs-snappy')
const lz4 = load('lz4-napi')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
})
const zstd = load('@bokuweb/zstd-wasm')
const zstdReady = zstd.init()
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => (await zstdReady, Buffer.from(zstd.compress(encoder.buffer, 3))),
  decompress: async (buffer) => (await zstdReady, Buffer.from(zstd.decompress(buffer))),
})

const bootstrap = process.env.BOOTSTRAP
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
console.error(`seed ${seed} (repeat with SEED=${seed}), broker ${bootstrap}`)

let count = 0
// A topic or group name that belongs to this run alone.
const name = (what) => `kafkajs-${seed.toString(16).padStart(8, '0')}-${String(++count).padStart(3, '0')}-${what}`

// kafkajs logs what the tests provoke; only what it cannot cope with is shown.
const client = (options = {}) =>
  new Kafka({ clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 8 }, ...options })

// Polls until the condition is truthy and gives its value. The deadline only bounds a hang.
async function waitUntil(condition, what, deadline = 60_000) {
  const end = Date.now() + deadline
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) throw new Error(`gave up after ${deadline} ms waiting for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const START = 1_700_000_000_000

module.exports = { ...kafkajs, bootstrap, load, name, client, python, waitUntil, START, seed }
