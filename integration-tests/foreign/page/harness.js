// What the tests of the page share: the example that serves it, events, and a watched browser.
'use strict'

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const readline = require('node:readline')

const { Partitioners, bootstrap, client, load, name, waitUntil } = require('../node/harness')

const { chromium } = load('playwright-core')

const root = path.resolve(__dirname, '../../..')
const target = path.resolve(process.env.CARGO_TARGET_DIR || path.join(root, 'target'))
const example = path.join(target, 'debug', 'examples', 'user_totals')
// Pictures of the page, to be looked at.
const pictures = path.join(target, 'page')

// The views of one topic, served by the example; it can be killed and started again.
class Served {
  constructor(topic) {
    this.topic = topic
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'page-'))
    this.listen = '127.0.0.1:0'
  }

  // Each start has what the one before has left.
  async start(batchEvery) {
    assert.ok(fs.existsSync(example), `${example} is not built: cargo build -p tidemark-streams --example user_totals`)
    const folder = (of) => path.join(this.folder, of)
    this.child = spawn(example, [
      ...['--bootstrap', bootstrap, '--input', this.topic, '--listen', this.listen, '--windows', '1m'],
      ...['--snapshots', folder('snapshots'), '--state-dir', folder('state')],
      ...['--batch-every', batchEvery, '--cut-every', '100ms'],
    ])
    this.ended = new Promise((resolve) => this.child.once('exit', (code, signal) => resolve(code ?? signal)))
    let errors = ''
    this.child.stderr.on('data', (text) => (errors += text))
    const lines = readline.createInterface({ input: this.child.stdout })
    const address = new Promise((resolve) => {
      lines.on('line', (line) => line.startsWith('views: http://') && resolve(line.slice('views: '.length, -'/views'.length)))
    })
    const ended = this.ended.then((code) => assert.fail(`the example ended with ${code}: ${errors}`))
    this.url = await Promise.race([address, ended])
    ended.catch(() => {})
    // The same place the next time.
    this.listen = this.url.slice('http://'.length)
  }

  async end(signal) {
    this.child.kill(signal)
    return this.ended
  }

  async remove() {
    if (this.child?.exitCode === null && this.child.signalCode === null) await this.end('SIGKILL')
    fs.rmSync(this.folder, { recursive: true, force: true })
  }

  // An answer's status and its JSON as text: digits are not to go through floats.
  async get(asked) {
    const response = await fetch(`${this.url}${asked}`)
    return { status: response.status, text: await response.text(), headers: response.headers }
  }

  async json(asked) {
    return JSON.parse((await this.get(asked)).text)
  }

  // Waits until views have everything that is in the topic.
  async caughtUp(ends) {
    const at_least = ends.map((end, partition) => `${this.topic}:${partition}:${end}`).join(',')
    for (const view of ['user_totals', 'user_windows']) {
      await waitUntil(async () => {
        const answer = await this.get(`/views/${view}/keys?limit=1&at_least=${at_least}`)
        return answer.status === 200
      }, `${view} to have everything`)
    }
  }

  // Waits until the newest snapshots have everything, too.
  async snapshotted(ends) {
    for (const view of ['user_totals', 'user_windows']) {
      await waitUntil(async () => {
        const { snapshot } = await this.json(`/views/${view}`)
        return ends.every((end, partition) => snapshot?.coverage[this.topic]?.[partition] === end)
      }, `a snapshot of ${view} with everything`)
    }
  }
}

// A topic of events: their JSON is text, so that any digits can be in it.
class Events {
  #producer = client().producer({ createPartitioner: Partitioners.DefaultPartitioner })
  #admin = client().admin()

  async open(partitions, topic = name('user-events')) {
    this.topic = topic
    this.ends = Array.from({ length: partitions }, () => 0)
    await Promise.all([this.#producer.connect(), this.#admin.connect()])
    const configEntries = [{ name: 'retention.ms', value: '-1' }]
    const topics = [{ topic: this.topic, numPartitions: partitions, replicationFactor: 1, configEntries }]
    await this.#admin.createTopics({ waitForLeaders: true, topics })
  }

  // Writes [user, digits of the value, timestamp] each; the partitions take turns.
  async write(events) {
    const messages = events.map(([user, value, timestamp], number) => ({
      partition: number % this.ends.length,
      value: `{"user_id":${JSON.stringify(user)},"event":"purchase","value":${value},"timestamp":${JSON.stringify(timestamp)}}`,
    }))
    for (const { partition } of messages) this.ends[partition] += 1
    await this.#producer.send({ topic: this.topic, messages })
  }

  close() {
    return Promise.all([this.#producer.disconnect(), this.#admin.disconnect()])
  }
}

// A browser's page that complains of whatever is not as it should be.
class Watched {
  static async open(browser, url, { allowed = () => false, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
    const own = new Watched()
    own.context = context
    // Not a demand on speed: what takes so long hangs.
    context.setDefaultTimeout(120_000)
    own.page = await context.newPage()
    own.amiss = []
    // Said at once, too: a test that fails for want of what is shown does not say why.
    const complain = (text) => {
      console.error(text)
      own.amiss.push(text)
    }
    own.asked = []
    // A refusal of the interface, or a server that is away, is no fault of the page where a test wants it.
    own.allowed = allowed
    const { origin } = new URL(url)
    own.page.on('pageerror', (error) => complain(error.stack))
    own.page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type()) && !own.allowed(message.location().url)) {
        complain(`${message.type()}: ${message.text()} (${message.location().url})`)
      }
    })
    own.page.on('request', (request) => {
      own.asked.push(request.url())
      if (new URL(request.url()).origin !== origin) complain(`asked for ${request.url()}`)
    })
    await own.page.goto(url)
    return own
  }

  text(selector) {
    return this.page.locator(selector).innerText()
  }

  // Waits until what is shown is right.
  shows(selector, text) {
    const found = this.page.locator(selector).filter({ hasText: text })
    return found.first().waitFor({ timeout: 60_000 })
  }

  async picture(file) {
    await this.page.screenshot({ path: path.join(pictures, `${file}.png`), fullPage: true })
  }

  // What it looked like in the end is there to be seen if its test has failed.
  async close() {
    if (!this.page.isClosed()) await this.picture('last')
    await this.context.close()
    assert.deepEqual(this.amiss, [])
  }
}

const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    // Root has no sandbox in Chromium.
    chromiumSandbox: process.getuid() !== 0,
  })

module.exports = { Events, Served, Watched, launch, load, root, waitUntil }
