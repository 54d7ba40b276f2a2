// kafkajs against the broker: records, groups, offsets, admin calls, errors.
'use strict'

const assert = require('node:assert/strict')
const { execFileSync, spawn } = require('node:child_process')
const { createCipheriv } = require('node:crypto')
const path = require('node:path')
const readline = require('node:readline')
const { after, before, describe, test } = require('node:test')

const {
  CompressionTypes,
  ConfigResourceTypes,
  KafkaJSProtocolError,
  Partitioners,
  START,
  bootstrap,
  client,
  name,
  python,
  waitUntil,
} = require('./harness')

const CODECS = ['None', 'GZIP', 'Snappy', 'LZ4', 'ZSTD']
const kafka = client()
const admin = kafka.admin()
const opened = []

before(() => admin.connect())
after(async () => {
  await Promise.all(opened.map((one) => one.disconnect()))
  await admin.disconnect()
})

async function topicOf(partitions, configs = {}) {
  const topic = name('topic')
  const configEntries = Object.entries(configs).map(([key, value]) => ({ name: key, value }))
  await admin.createTopics({
    waitForLeaders: true,
    topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
  })
  return topic
}

async function producerOf(options = {}, from = kafka) {
  const producer = from.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })
  opened.push(producer)
  await producer.connect()
  return producer
}

// Writes `count` records, one second apart, into partition 0.
async function fill(topic, count, compression = CompressionTypes.None) {
  const producer = await producerOf()
  const messages = Array.from({ length: count }, (_, number) => ({
    value: `${number}`,
    partition: 0,
    timestamp: `${START + number * 1000}`,
  }))
  return producer.send({ topic, messages, compression })
}

// Makes a group begin at the offset that belongs to a time, and gives that offset.
async function groupAt(topic, time) {
  const groupId = name('reader')
  const partitions = await admin.fetchTopicOffsetsByTimestamp(topic, time)
  await admin.setOffsets({ groupId, topic, partitions })
  return { groupId, offset: partitions[0].offset }
}

// Reads until `count` records have come, from where the group stands or else from the beginning.
async function read(topic, count, { groupId = name('reader'), options = {}, run = {}, keep = false } = {}) {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, ...options })
  opened.push(consumer)
  const records = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ ...run, eachMessage: async ({ partition, message }) => void records.push({ partition, ...message }) })
  await waitUntil(() => records.length >= count, `${count} records of ${topic}`)
  if (keep) return { consumer, records }
  await consumer.disconnect()
  return records
}

// The type with which the broker refuses a call, also when kafkajs wraps it after its retries.
async function refusal(call) {
  try {
    await call()
  } catch (error) {
    const nested = [...(error.errors ?? []), ...(error.groups ?? []).map((group) => group.error)]
    const causes = [error, error.cause, ...nested].filter(Boolean)
    const found = causes.find((cause) => cause instanceof KafkaJSProtocolError || cause.type)
    if (!found) throw error
    return found.type
  }
  return assert.fail('the call was accepted')
}

const offsets = (records) => records.map((record) => record.offset)

describe('records', () => {
  const BINARY = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  const SAMPLES = [
    { key: 'plain', value: 'value', timestamp: START },
    { key: null, value: 'no key', timestamp: START + 1 },
    { key: '', value: 'empty key', timestamp: START + 2 },
    { key: 'empty value', value: '', timestamp: START + 3 },
    { key: 'tombstone', value: null, timestamp: START + 4 },
    // kafkajs can repeat a header but cannot send one without a value.
    { key: 'headers', value: 'v', headers: { trace: ['1', '2'], empty: '', 'ütf': 'wért' }, timestamp: START + 5 },
    { key: BINARY, value: Buffer.concat([BINARY, BINARY]), timestamp: START + 7 },
    { key: 'back in time', value: 'late', timestamp: START - 5000 },
    { key: 'long', value: '0123456789abcdef'.repeat(4096), timestamp: START + 6 },
  ]
  const bytes = (value) => (value === null ? null : Buffer.from(value))

  for (const codec of CODECS) {
    for (const acks of [0, 1, -1]) {
      test(`come back as they went: ${codec}, acks ${acks}`, async () => {
        const topic = await topicOf(1)
        const producer = await producerOf()
        const messages = SAMPLES.map((sample) => ({ partition: 0, ...sample, timestamp: `${sample.timestamp}` }))
        await producer.send({ topic, acks, messages, compression: CompressionTypes[codec] })
        const records = await read(topic, SAMPLES.length)
        records.forEach((record, index) => {
          const sample = SAMPLES[index]
          assert.equal(record.offset, `${index}`)
          assert.deepEqual(record.key, bytes(sample.key))
          assert.deepEqual(record.value, bytes(sample.value))
          assert.equal(record.timestamp, `${sample.timestamp}`)
        })
        const { trace, empty, 'ütf': utf } = records[5].headers
        assert.deepEqual(trace.map(String), ['1', '2'])
        assert.deepEqual([`${empty}`, `${utf}`], ['', 'wért'])
      })
    }

    test(`a message of one megabyte that no codec makes smaller: ${codec}`, async () => {
      const topic = await topicOf(1)
      const producer = await producerOf()
      const value = createCipheriv('aes-128-ctr', BINARY.subarray(0, 16), BINARY.subarray(0, 16)).update(Buffer.alloc(1_000_000))
      await producer.send({ topic, messages: [{ value }], compression: CompressionTypes[codec] })
      const [record] = await read(topic, 1, { options: { maxBytesPerPartition: 4096 } })
      assert.ok(value.equals(record.value))
    })
  }

  test('a header without a value is read', async () => {
    const topic = await topicOf(1)
    // kafkajs cannot send one, so confluent-kafka does.
    const write = `
import sys
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.produce(sys.argv[2], b"value", headers=[("null", None), ("empty", b""), ("twice", b"1"), ("twice", None)])
sys.exit(producer.flush(30))`
    execFileSync(python, ['-c', write, bootstrap, topic])
    const [{ headers }] = await read(topic, 1)
    assert.deepEqual({ ...headers }, { null: null, empty: Buffer.alloc(0), twice: [Buffer.from('1'), null] })
  })

  test('an idempotent producer keeps order and count', async () => {
    const topic = await topicOf(1)
    const producer = await producerOf({ idempotent: true, maxInFlightRequests: 1 })
    for (let batch = 0; batch < 20; batch++) {
      const messages = Array.from({ length: 50 }, (_, number) => ({ value: `${batch * 50 + number}` }))
      const [written] = await producer.send({ topic, messages })
      assert.equal(written.baseOffset, `${batch * 50}`)
    }
    const records = await read(topic, 1000)
    assert.deepEqual(records.map((record) => `${record.value}`), Array.from({ length: 1000 }, (_, n) => `${n}`))
  })

  test('a batch goes to several topics and partitions at once', async () => {
    const [one, two] = [await topicOf(2), await topicOf(1)]
    const producer = await producerOf()
    const written = await producer.sendBatch({
      topicMessages: [
        { topic: one, messages: [{ value: 'a', partition: 0 }, { value: 'b', partition: 1 }] },
        { topic: two, messages: [{ value: 'c', partition: 0 }] },
      ],
    })
    assert.deepEqual(written.map(({ errorCode, baseOffset }) => [errorCode, baseOffset]), Array(3).fill([0, '0']))
  })

  test('a key stays with its partition', async () => {
    const topic = await topicOf(4)
    const producer = await producerOf()
    const messages = Array.from({ length: 28 }, (_, number) => ({ key: `user-${number % 7}`, value: 'v' }))
    await producer.send({ topic, messages })
    const homes = new Set((await read(topic, 28)).map((record) => `${record.key} ${record.partition}`))
    assert.equal(homes.size, 7)
  })

  test('the first produce creates the topic', async () => {
    const topic = name('auto')
    const producer = await producerOf({ allowAutoTopicCreation: true })
    const [written] = await producer.send({ topic, messages: [{ value: 'first' }] })
    assert.deepEqual([written.topicName, written.baseOffset], [topic, '0'])
    assert.ok((await admin.listTopics()).includes(topic))
  })
})

describe('positions', () => {
  test('by time, beginning and end', async () => {
    const topic = await topicOf(1)
    await fill(topic, 10)
    assert.deepEqual(await admin.fetchTopicOffsets(topic), [{ partition: 0, offset: '10', high: '10', low: '0' }])
    const at = async (time) => (await admin.fetchTopicOffsetsByTimestamp(topic, time))[0].offset
    assert.equal(await at(START + 3500), '4')
    assert.equal(await at(START + 3000), '3')
    assert.equal(await at(START - 1), '0')
    // kafkajs answers the end of the log when the broker found nothing.
    assert.equal(await at(START + 100_000), '10')
  })

  for (const codec of CODECS) {
    test(`by time, inside a batch: ${codec}`, async () => {
      const topic = await topicOf(1)
      await fill(topic, 50, CompressionTypes[codec])
      const { groupId, offset } = await groupAt(topic, START + 31_001)
      assert.equal(offset, '32')
      const records = await read(topic, 18, { groupId })
      assert.deepEqual(offsets(records), Array.from({ length: 18 }, (_, number) => `${32 + number}`))
      assert.equal(records[0].timestamp, `${START + 32_000}`)
    })
  }

  test('seek goes back', async () => {
    const topic = await topicOf(1)
    await fill(topic, 5)
    const { consumer, records } = await read(topic, 5, { keep: true })
    consumer.seek({ topic, partition: 0, offset: '3' })
    await waitUntil(() => records.length >= 7, 'two records again')
    assert.deepEqual(offsets(records.slice(5)), ['3', '4'])
    await consumer.disconnect()
  })
})

// A member.js process and what it printed.
class Member {
  constructor(group, topic) {
    this.assignment = []
    this.values = []
    this.closed = false
    this.process = spawn(process.execPath, [path.join(__dirname, 'member.js'), group, topic])
    this.ended = new Promise((resolve) => this.process.on('close', resolve))
    readline.createInterface({ input: this.process.stdout }).on('line', (line) => {
      const event = JSON.parse(line)
      if (event.assignment) this.assignment = event.assignment
      if (event.value) this.values.push(event.value)
      if (event.closed) this.closed = true
    })
  }

  async end(signal) {
    this.process.kill(signal)
    await this.ended
  }
}

const fairly = (members, sizes) =>
  waitUntil(() => {
    const shares = members.map((member) => member.assignment)
    const together = shares.flat().sort()
    return together.join() === '0,1,2,3' && shares.map((share) => share.length).sort().join() === sizes.join()
  }, `shares of ${sizes}`, 90_000)

// Values that are written all the time, over all partitions in turn, until the stream is stopped.
class Stream {
  constructor(producer, topic) {
    this.sent = []
    this.running = true
    this.ended = this.run(producer, topic)
    // Who waits for values hears of it too.
    this.ended.catch((error) => void (this.failure = error))
  }

  async run(producer, topic) {
    while (this.running) {
      const number = this.sent.length
      await producer.send({ topic, messages: [{ value: `value-${number}`, partition: number % 4 }] })
      this.sent.push(`value-${number}`)
      // Keeps the amount small; nothing is measured by it.
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  // Waits for values that are written from now on, and gives them.
  async next(count = 8) {
    const begin = this.sent.length
    await waitUntil(() => this.failure ?? this.sent.length >= begin + count, 'the producer')
    if (this.failure) throw this.failure
    return this.sent.slice(begin, begin + count)
  }

  // Gives every value that was written.
  async stop() {
    this.running = false
    await this.ended
    return this.sent
  }
}

describe('groups', () => {
  test('members come, go and are killed while records arrive', async (context) => {
    const [topic, group] = [await topicOf(4), name('group')]
    const members = []
    const stream = new Stream(await producerOf(), topic)
    context.after(() => Promise.all([stream.stop(), ...members.map((member) => member.end('SIGKILL'))]))
    const add = () => members[members.push(new Member(group, topic)) - 1]
    const seen = () => new Set(members.flatMap((member) => member.values))
    const arrived = (values, what) => waitUntil(() => {
      const all = seen()
      return values.every((value) => all.has(value))
    }, what, 90_000)

    const first = add()
    await fairly([first], [4])
    await arrived(await stream.next(), 'values for the first member alone')
    const second = add()
    await fairly([first, second], [2, 2])
    const third = add()
    await fairly([first, second, third], [1, 1, 2])
    await arrived(await stream.next(), 'values for three members')
    await third.end('SIGTERM')
    assert.ok(third.closed)
    await fairly([first, second], [2, 2])
    await arrived(await stream.next(), 'values after one left')
    await second.end('SIGKILL')
    await fairly([first], [4])
    const late = await stream.next()
    await waitUntil(() => late.every((value) => first.values.includes(value)), 'values for the survivor', 90_000)
    const sent = await stream.stop()
    await arrived(sent, 'everything that was written')
    assert.equal(seen().size, sent.length, 'nothing else was read')
  })

  test('commit and resume', async () => {
    const [topic, groupId] = [await topicOf(1), name('group')]
    await fill(topic, 10)
    const { consumer } = await read(topic, 10, { groupId, keep: true, run: { autoCommit: false } })
    const committed = async () => (await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions
    await consumer.commitOffsets([{ topic, partition: 0, offset: '4', metadata: 'half way, ünicode' }])
    await consumer.disconnect()
    assert.deepEqual(await committed(), [{ partition: 0, offset: '4', metadata: 'half way, ünicode' }])
    assert.deepEqual(offsets(await read(topic, 6, { groupId })), ['4', '5', '6', '7', '8', '9'])
    assert.equal((await committed())[0].offset, '10')
  })

  test('describe, list, reset and delete', async () => {
    const [topic, groupId] = [await topicOf(2), name('group')]
    await fill(topic, 5)
    const { consumer } = await read(topic, 5, { groupId, keep: true })
    const { groups: [described] } = await admin.describeGroups([groupId])
    assert.deepEqual([described.state, described.protocolType, described.members.length], ['Stable', 'consumer', 1])
    assert.equal(described.members[0].clientId, 'kafkajs')
    assert.ok((await admin.listGroups()).groups.some((group) => group.groupId === groupId))
    assert.equal(await refusal(() => admin.deleteGroups([groupId])), 'NON_EMPTY_GROUP')
    await consumer.disconnect()
    await admin.resetOffsets({ groupId, topic, earliest: true })
    const [fetched] = await admin.fetchOffsets({ groupId, topics: [topic], resolveOffsets: true })
    assert.deepEqual(fetched.partitions.map(({ offset }) => offset), ['0', '0'])
    await admin.deleteGroups([groupId])
    assert.ok(!(await admin.listGroups()).groups.some((group) => group.groupId === groupId))
  })
})

describe('admin', () => {
  test('create, describe and delete topics', async () => {
    const topic = await topicOf(3)
    const { topics: [described] } = await admin.fetchTopicMetadata({ topics: [topic] })
    assert.deepEqual(described.partitions.map(({ partitionId }) => partitionId).sort(), [0, 1, 2])
    assert.equal(await admin.createTopics({ topics: [{ topic }] }), false, 'it exists already')
    await admin.deleteTopics({ topics: [topic] })
    await waitUntil(async () => !(await admin.listTopics()).includes(topic), 'the topic to be gone')
    // kafkajs repeats this refusal as long as it may, so this one may not.
    const impatient = client({ retry: { retries: 0 } }).admin()
    opened.push(impatient)
    await impatient.connect()
    assert.equal(await refusal(() => impatient.deleteTopics({ topics: [topic] })), 'UNKNOWN_TOPIC_OR_PARTITION')
  })

  test('create partitions', async () => {
    const topic = await topicOf(2)
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    const count = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
    await waitUntil(async () => (await count()) === 5, 'five partitions')
    assert.equal(await refusal(() => admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })), 'INVALID_PARTITIONS')
  })

  test('describe and alter configs', async () => {
    const topic = await topicOf(1)
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
    const value = async (key) => {
      const { resources: [answer] } = await admin.describeConfigs({ resources: [resource] })
      return answer.configEntries.find((entry) => entry.configName === key).configValue
    }
    assert.equal(await value('retention.ms'), '604800000')
    const alter = (key, to) =>
      admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [{ name: key, value: to }] }] })
    await alter('retention.ms', '1000')
    await waitUntil(async () => (await value('retention.ms')) === '1000', 'the new value')
    await alter('cleanup.policy', 'compact')
    await waitUntil(async () => (await value('retention.ms')) === '604800000', 'the reset of what was left out')
    assert.equal(await refusal(() => alter('retention.ms', 'soon')), 'INVALID_CONFIG')
  })

  test('delete records', async () => {
    const topic = await topicOf(1)
    await fill(topic, 10)
    // kafkajs looks the leader up in what it knows of the topic, so it has to know it first.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '6' }] })
    assert.equal((await admin.fetchTopicOffsets(topic))[0].low, '6')
    assert.deepEqual(offsets(await read(topic, 4)), ['6', '7', '8', '9'])
  })

  test('describe the cluster', async () => {
    const cluster = await admin.describeCluster()
    assert.deepEqual(cluster.brokers.map(({ host, port }) => `${host}:${port}`), [bootstrap])
    assert.equal(cluster.controller, cluster.brokers[0].nodeId)
    assert.ok(cluster.clusterId)
  })
})

describe('refusals', () => {
  for (const [what, topic, options, expected] of [
    ['a name with a space', 'has space', {}, 'INVALID_TOPIC_EXCEPTION'],
    ['one dot', '.', {}, 'INVALID_TOPIC_EXCEPTION'],
    ['a name of 250 characters', 'x'.repeat(250), {}, 'INVALID_TOPIC_EXCEPTION'],
    ['no partitions', 'none', { numPartitions: 0 }, 'INVALID_PARTITIONS'],
    ['two replicas', 'two', { replicationFactor: 2 }, 'INVALID_REPLICATION_FACTOR'],
    ['a bad config', 'bad', { configEntries: [{ name: 'retention.ms', value: 'soon' }] }, 'INVALID_CONFIG'],
  ]) {
    test(`a topic with ${what}`, async () => {
      const topics = [{ topic, numPartitions: 1, replicationFactor: 1, ...options }]
      assert.equal(await refusal(() => admin.createTopics({ topics })), expected)
    })
  }

  test('a message over the limit of the topic', async () => {
    const topic = await topicOf(1, { 'max.message.bytes': '1000' })
    const producer = await producerOf()
    const send = () => producer.send({ topic, messages: [{ value: 'x'.repeat(2000) }] })
    assert.equal(await refusal(send), 'MESSAGE_TOO_LARGE')
  })

  test('a keyless record on a compacted topic', async () => {
    const topic = await topicOf(1, { 'cleanup.policy': 'compact' })
    const producer = await producerOf()
    const send = () => producer.send({ topic, messages: [{ value: 'no key' }] })
    assert.equal(await refusal(send), 'INVALID_RECORD')
  })

  test('a timestamp too far ahead', async () => {
    const topic = await topicOf(1)
    const producer = await producerOf()
    const send = () => producer.send({ topic, messages: [{ value: 'v', timestamp: `${START * 2}` }] })
    assert.equal(await refusal(send), 'INVALID_TIMESTAMP')
  })

  test('a session timeout out of bounds', async () => {
    const topic = await topicOf(1)
    const consumer = kafka.consumer({ groupId: name('group'), sessionTimeout: 5000, retry: { retries: 0 } })
    opened.push(consumer)
    const crashed = new Promise((resolve) => consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.error)))
    await consumer.connect()
    await consumer.subscribe({ topic })
    const refused = consumer.run({ eachMessage: async () => {} }).then(() => crashed, (error) => error)
    assert.equal((await refused).type, 'INVALID_SESSION_TIMEOUT')
  })

  test('an unknown topic without auto creation', async () => {
    const topic = name('unknown')
    const producer = await producerOf({ allowAutoTopicCreation: false, retry: { retries: 0 } })
    const send = () => producer.send({ topic, messages: [{ value: 'v' }] })
    assert.equal(await refusal(send), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.ok(!(await admin.listTopics()).includes(topic))
  })
})
