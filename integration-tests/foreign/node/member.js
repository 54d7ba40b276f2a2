// One kafkajs member of a consumer group as a process of its own, so that a test can kill it.
//
//     node member.js GROUP TOPIC
//
// Prints one JSON object a line: {"assignment": [partitions]} after each join, {"value": text} for
// every record. SIGTERM makes it leave the group and end.
'use strict'

const { client } = require('./harness')
const [group, topic] = process.argv.slice(2)
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')

async function main() {
  const consumer = client().consumer({
    groupId: group,
    sessionTimeout: 6000,
    heartbeatInterval: 300,
    rebalanceTimeout: 10_000,
    // A rebalance is heard of between two fetches only.
    maxWaitTimeInMs: 100,
  })
  process.on('SIGTERM', async () => {
    await consumer.disconnect()
    say({ closed: true })
    process.exit(0)
  })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
    say({ assignment: [...(payload.memberAssignment[topic] ?? [])].sort() }))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message, heartbeat }) => {
      say({ value: message.value.toString() })
      await heartbeat()
    },
  })
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
