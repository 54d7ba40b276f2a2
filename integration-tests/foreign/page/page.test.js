// The page of views in Chromium, served by the example user_totals.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { after, afterEach, before, describe, test } = require('node:test')

const { Events, Served, Watched, launch, load, root, waitUntil } = require('./harness')

const HOSTILE = '<img src=x onerror="window.hacked = 1"> & "quotes" #?/%'
const LARGE = ['1234567890123456789012345678901234567.891', '8765432109876543210987654321098765432.109']
const TOGETHER = '10000000000000000000000000000000000000'

const events = new Events()
let served
let browser
let opened = []

// A page that is checked when its test ends.
async function open(place = '', options = {}) {
  const own = await Watched.open(browser, `${served.url}/${place}`, options)
  opened.push(own)
  return own
}

const place = (pairs) => `#${new URLSearchParams(pairs)}`
const minute = (number) => `2023-01-01T10:${String(number % 60).padStart(2, '0')}:30`

// Some users over some minutes; the digits are those of cents.
const purchases = (from, count) => Array.from({ length: count }, (_, at) => {
  const number = from + at
  return [`user${number % 20}`, `${number % 90}.${String(number % 100).padStart(2, '0')}`, minute(number % 47)]
})

// Whether a colour of the page has been drawn in the chart.
const inked = (own, colour) => own.page.evaluate((name) => {
  const canvas = document.querySelector('#chart canvas')
  if (!canvas) return false
  const copy = new OffscreenCanvas(canvas.width, canvas.height + 1).getContext('2d', { willReadFrequently: true })
  copy.drawImage(canvas, 0, 0)
  copy.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
  copy.fillRect(0, canvas.height, 1, 1)
  const pixels = new Uint32Array(copy.getImageData(0, 0, canvas.width, canvas.height + 1).data.buffer)
  const wanted = pixels[canvas.width * canvas.height]
  return pixels.filter((pixel) => pixel === wanted).length > 20
}, colour)

// The first events go into snapshots, and the others stay with the speed layer: both have parts that
// nothing changes while the tests look at them.
before(async () => {
  await events.open(3)
  served = new Served(events.topic)
  await events.write([...purchases(0, 300), [HOSTILE, '1.5', minute(3)], ['whale', LARGE[0], minute(1)]])
  await served.start('200ms')
  await served.snapshotted(events.ends)
  assert.equal(await served.end('SIGINT'), 0)
  await served.start('1h')
  await events.write([...purchases(300, 60), [HOSTILE, '2', minute(4)], ['whale', LARGE[1], minute(2)]])
  await served.caughtUp(events.ends)
  browser = await launch()
})

afterEach(async () => {
  const all = opened
  opened = []
  for (const own of all) await own.close()
})

after(async () => {
  await browser?.close()
  await served?.remove()
  await events.close()
})

describe('a plain view', () => {
  test('a key is searched by how it begins, and its parts are those of the interface', async () => {
    const own = await open()
    const { page } = own
    await page.getByRole('combobox', { name: 'Key', exact: true }).fill('user1')
    await own.shows('#keys li:first-child', /^user1$/)
    const listed = await page.locator('#keys li').allInnerTexts()
    assert.deepEqual(listed, (await served.json('/views/user_totals/keys?prefix=user1')).rows.map(({ key }) => key))
    for (const key of ['ArrowDown', 'ArrowDown', 'Enter']) await page.keyboard.press(key)
    assert.equal(new URL(page.url()).hash, place({ view: 'user_totals', key: listed[1] }))
    await own.shows('h1', listed[1])
    const answer = await served.json(`/views/user_totals/keys/${listed[1]}?parts=true`)
    const parts = { batch: answer.parts.batch, speed: answer.parts.speed, whole: answer.value }
    for (const field of ['total_events', 'total_value']) {
      await page.locator('#number').selectOption(field)
      for (const [part, value] of Object.entries(parts)) {
        await own.shows(`[data-term=${part}] b`, String(value[field]))
        assert.equal(await own.text(`[data-term=${part}] b`), String(value[field]))
      }
      await own.shows('.proof', 'digit for digit')
    }
    for (const [part, value] of Object.entries(parts)) {
      for (const [field, own_value] of Object.entries(value)) {
        assert.equal(await own.text(`[data-field=${field}] td.${part} .digits`), String(own_value))
      }
    }
    // What is shown adds up by itself, too.
    const [batch, speed, whole] = await Promise.all(
      ['batch', 'speed', 'whole'].map(async (part) => Number(await own.text(`[data-field=total_events] td.${part} .digits`))))
    assert.ok(batch > 0 && speed > 0)
    assert.equal(batch + speed, whole)
  })

  test('coverage, snapshot, freshness and finality are shown', async () => {
    const own = await open(place({ view: 'user_totals', key: 'user1' }))
    await own.shows('h1', 'user1')
    const view = await served.json('/views/user_totals')
    for (const [partition, end] of events.ends.entries()) {
      const cells = await own.page.locator(`[data-partition="${events.topic}-${partition}"] td`).allInnerTexts()
      const seam = view.snapshot.coverage[events.topic][partition]
      assert.deepEqual(cells, ['0', '', `${seam}`, `${end}`, `+${end - seam}`])
    }
    assert.equal(await own.text('[data-tile=snapshot] b'), `#${view.snapshot.id}`)
    assert.equal(await own.text('[data-tile=covered] b'), `${events.ends.reduce((sum, end) => sum + end)}`)
    assert.equal(await own.text('[data-tile=final] b'), 'open')
    await own.shows('#snapshots', `#${view.snapshot.id}`)
    // It is asked for anew all the time.
    const seen = new Set()
    await waitUntil(async () => seen.add(await own.text('[data-tile=freshness] b')).size > 2, 'freshness to change')
    for (const text of seen) assert.match(text, /^[0-9.]+ m?s$/)
  })

  test('numbers of any size keep their digits', async () => {
    const own = await open(place({ view: 'user_totals', key: 'whale', field: 'total_value' }))
    await own.shows('[data-term=whole] b', TOGETHER)
    const texts = await own.page.locator('.term b').allInnerTexts()
    assert.deepEqual(texts, [...LARGE, TOGETHER])
    await own.shows('.proof', 'digit for digit')
    await own.page.getByText('The answer as the server gives it').click()
    await own.shows('#raw', `"total_value":${TOGETHER},`)
    assert.equal(await own.text('#legend .whole .digits'), TOGETHER)
    await waitUntil(() => inked(own, 'batch'), 'the chart to be drawn')
  })

  test('what stands in keys is text', async () => {
    const own = await open(place({ view: 'user_totals' }))
    await own.page.locator('#keys li', { hasText: '<img' }).click()
    await own.shows('h1', HOSTILE)
    assert.equal(await own.text('h1'), HOSTILE)
    await own.shows('[data-field=total_value] td.whole', '3.5')
    assert.deepEqual(await own.page.evaluate(() => [window.hacked, document.querySelectorAll('main img').length]), [undefined, 0])
    await own.page.reload()
    await own.shows('[data-field=total_value] td.whole', '3.5')
    assert.equal(await own.text('h1'), HOSTILE)
  })

  test('an unknown key is the error of the interface, until there is an event of it', async () => {
    const own = await open(place({ view: 'user_totals', key: 'user1' }))
    own.allowed = (url) => url.includes('/keys/late%20comer')
    await own.page.locator('#key').fill('late comer')
    await own.page.getByRole('button', { name: 'Look up' }).click()
    await own.shows('[data-code=unknown_key]', 'no event')
    const { error } = await served.json('/views/user_totals/keys/late%20comer')
    const shown = await own.text('#refusal')
    for (const part of [error.code, error.message, error.hint, `"${events.topic}":`]) assert.ok(shown.includes(part), shown)
    assert.equal(await own.page.locator('#whole').isVisible(), false)
    await events.write([['late comer', '0.01', minute(5)]])
    await own.shows('[data-term=whole] b', '1')
    assert.equal(await own.text('[data-term=batch] b'), 'nothing')
    assert.equal(await own.page.locator('#refusal > *').count(), 0)
  })

  test('other errors are shown as they are', async () => {
    const allowed = (url) => url.includes('/views/')
    const own = await open(place({ view: 'user_totals', key: 'user1', snapshot: '999' }), { allowed })
    await own.shows('[data-code=unknown_snapshot]', '999')
    await own.page.goto(`${served.url}/${place({ view: 'other' })}`)
    await own.shows('[data-code=unknown_view]', 'there are: user_totals, user_windows')
    await own.page.locator('#view').selectOption('user_windows')
    await own.shows('#definition', 'user_windows version 1')
  })

  test('the chart goes on by itself, and stops while nobody looks', async () => {
    const [own, clock] = await Promise.all([open(place({ view: 'user_totals', key: 'user2' })), open()])
    await own.shows('[data-term=whole] b', /^[0-9]+$/)
    const before_it = Number(await own.text('[data-term=whole] b'))
    await events.write([['user2', '1', minute(1)]])
    await own.shows('[data-term=whole] b', `${before_it + 1}`)
    await waitUntil(() => inked(own, 'ink'), 'the line to be drawn')
    const hide = (hidden) => own.page.evaluate((to) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => to })
      document.dispatchEvent(new Event('visibilitychange'))
    }, hidden)
    await hide(true)
    // What was on its way comes to an end; from then on a page beside it tells the time.
    const rounds = (of) => of.asked.filter((url) => url.endsWith('/views')).length
    const pass = (count, from = rounds(clock)) => waitUntil(() => rounds(clock) >= from + count, 'time to pass')
    let asked
    await waitUntil(async () => {
      asked = own.asked.length
      await pass(2)
      return own.asked.length === asked
    }, 'what was on its way to end')
    await pass(3)
    assert.equal(own.asked.length, asked)
    await hide(false)
    await waitUntil(() => own.asked.length > asked, 'the page to ask again')
  })

  test('the address is the place: links open it, and back is back', async () => {
    const own = await open(place({ view: 'user_totals', key: 'user3', field: 'total_value' }))
    const value = (await served.json('/views/user_totals/keys/user3')).value.total_value
    await own.shows('[data-term=whole] b', `${value}`)
    await own.page.locator('#keys li', { hasText: /^user4$/ }).click()
    await own.shows('h1', 'user4')
    await own.page.goBack()
    await own.shows('h1', 'user3')
    assert.equal(await own.text('[data-term=whole] b'), `${value}`)
    assert.equal(await own.page.title(), 'user3 · user_totals · Tidemark')
  })

  test('everything is reached by the keyboard', async () => {
    const own = await open(place({ view: 'user_windows', key: 'user1' }))
    await own.shows('#windows button', '2023-01-01')
    const reached = []
    for (let step = 0; step < 12; step += 1) {
      await own.page.keyboard.press('Tab')
      reached.push(await own.page.evaluate(() => document.activeElement.id || document.activeElement.innerText))
    }
    assert.deepEqual(reached.slice(0, 6), ['To the answer', 'view', 'key', 'Look up', 'number', 'windows'])
    assert.match(reached[6], /^2023-01-01 /)
  })
})

describe('a view by window', () => {
  test('the windows of a key are drawn and listed, and one is chosen', async () => {
    const own = await open()
    const { page } = own
    await page.locator('#view').selectOption('user_windows')
    await page.locator('#keys li', { hasText: /^user1$/ }).click()
    await own.shows('h1', 'user1 2023-01-01')
    for (const field of ['events', 'value']) {
      await page.locator('#number').selectOption(field)
      const { rows } = await served.json('/views/user_windows/windows/user1?parts=true&limit=1000')
      const part = (value) => value === null ? 'none' : String(value[field])
      const expected = rows.reverse().map(({ parts, value, final }) =>
        [part(parts.batch), part(parts.speed), part(value), final ? 'final' : 'open'])
      await own.shows('#windows thead', `Merged: ${field}`)
      const lines = await page.locator('#windows tbody tr').all()
      const shown = await Promise.all(lines.map((line) => line.locator('td').allInnerTexts()))
      assert.deepEqual(shown, expected)
      await waitUntil(async () => await inked(own, 'batch') && await inked(own, 'speed'), 'bars of both layers')
    }
    const { rows } = await served.json('/views/user_windows/windows/user1?limit=1000')
    const first = rows[0].window.start
    await page.locator(`[data-window="${first}"]`).click()
    await own.shows('[data-term=whole] b', String(rows[0].value.value))
    assert.equal(new URLSearchParams(new URL(page.url()).hash.slice(1)).get('window'), `${first}`)
    assert.equal(await own.text('[data-tile=final] b'), 'final')
    await own.shows('#windows tr.chosen', '2023-01-01 10:0')
  })

  test('a window that does not start there is the error of the interface', async () => {
    const allowed = (url) => url.includes('window=7')
    const own = await open(place({ view: 'user_windows', key: 'user1', window: '7' }), { allowed })
    await own.shows('[data-code=bad_parameter]', 'no window starts')
  })
})

describe('the modules of the page', () => {
  // In the browser, as they are served.
  const within = async (work, argument) => {
    const own = await open()
    return own.page.evaluate(work, argument)
  }

  test('JSON is read and written without a digit lost', async () => {
    const texts = [
      '{"a":[1,-0,0.10,1e400,1E-7,123456789012345678901234567890.000],"b":{"":null,"__proto__":true,"2":"x","1":false}}',
      '"\\u00e9\\ud83d\\ude00\\n\\"\\\\ "', '[]', '{}', '[[[{"a":{}}]]]', '0', 'null', `[${Array(5000).fill('1.50').join(',')}]`,
    ]
    const written = await within(async (texts) => {
      const { parse, write } = await import('/page/json.js')
      return texts.map((text) => write(parse(` ${text}\n`)))
    }, texts)
    for (const [at, text] of texts.entries()) {
      assert.equal(written[at], text.startsWith('"') ? JSON.stringify(JSON.parse(text)) : text)
    }
  })

  test('what is no JSON is refused', async () => {
    const texts = ['', ' ', '{', '[1,]', '{"a"}', '{"a":1,}', '{a:1}', '01', '1.', '.5', '+1', '-', '1e', 'nul', '"a', '"\n"', '"\\x"',
      '[1 2]', '1 2', "'a'", 'NaN', `${'['.repeat(200)}${']'.repeat(200)}`]
    const taken = await within(async (texts) => {
      const { parse } = await import('/page/json.js')
      return texts.filter((text) => {
        try {
          parse(text)
          return true
        } catch (error) {
          if (!(error instanceof SyntaxError)) throw error
          return false
        }
      })
    }, texts)
    assert.deepEqual(taken, [])
  })

  test('parts add up digit by digit, or do not', async () => {
    const sums = [
      ['1', '2', '3', true], ['0.1', '0.2', '0.3', true], ['0.1', '0.2', '0.30000000000000004', false], ['-1.5', '1.50', '0', true],
      ['99999999999999999999', '1', '100000000000000000000', true], ['99999999999999999999', '1', '100000000000000000001', false],
      ['-0.001', '-0.009', '-0.01', true], ['1e3', '1', '1001', false], ['1', '2', 'three', false], ['3', '5', '5', false],
      // As it is of the larger one, and of the last.
      ['0', '5', '5', false], ['-5', '0.00', '-5', false],
    ]
    const found = await within(async (sums) => {
      const { addUp } = await import('/page/values.js')
      return sums.map(([a, b, c]) => addUp(a, b, c))
    }, sums)
    assert.deepEqual(found, sums.map(([, , , expected]) => expected))
  })

  test('each field has a path of its own', async () => {
    const value = '{"a.b":1,"a":{"b":2},"":3,"c":["x",4],"d\\"":5,"e":{"":{"f":6}}}'
    const paths = await within(async (value) => {
      const [{ parse }, { numbers }] = await Promise.all([import('/page/json.js'), import('/page/values.js')])
      return [...numbers(parse(value))].map(([path, number]) => [path, number.text])
    }, value)
    assert.deepEqual(paths, [['"a.b"', '1'], ['a.b', '2'], ['""', '3'], ['"d\\""', '5'], ['e."".f', '6']])
  })
})

describe('a view without a key', () => {
  const none = new Events()
  let empty

  before(async () => {
    await none.open(1)
    empty = new Served(none.topic)
    await empty.start('1h')
    await empty.caughtUp(none.ends)
  })

  after(async () => {
    await empty?.remove()
    await none.close()
  })

  test('says so until there is one, and that may be the empty one', async () => {
    const own = await Watched.open(browser, `${empty.url}/`)
    opened.push(own)
    await own.shows('#notices', 'There is no key in this view yet.')
    await waitUntil(() => own.asked.filter((url) => url.endsWith('/views')).length > 2, 'time to pass')
    assert.equal(await own.text('#notices'), 'There is no key in this view yet.')
    await none.write([['', '7', minute(1)], ['', '8', minute(2)]])
    await own.shows('h1', 'empty text')
    await own.shows('[data-term=whole] b', /^2$/)
    assert.equal(await own.text('#notices'), '')
    await own.page.locator('#view').selectOption('user_windows')
    await own.shows('h1', 'empty text 2023-01-01')
    assert.equal(await own.page.locator('#windows tbody tr').count(), 2)
  })
})

describe('the server', () => {
  test('browsers get the page and programs get JSON; nothing may be loaded from elsewhere', async () => {
    const told = await served.json('/')
    assert.ok(told.pages.includes('/views'))
    const response = await fetch(served.url, { headers: { accept: 'text/html,*/*;q=0.8' } })
    assert.match(await response.text(), /^<!doctype html>/)
    assert.equal(response.headers.get('vary'), 'accept')
    const policy = response.headers.get('content-security-policy')
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/)
    assert.doesNotMatch(policy, /unsafe|\*|http/)
  })

  test('the chart library is that of its release', () => {
    const vendored = path.join(root, 'streams/src/serving/http/page/uplot')
    const release = path.dirname(load.resolve('uplot/package.json'))
    const files = { LICENSE: 'LICENSE', 'uPlot.iife.min.js': 'dist/uPlot.iife.min.js', 'uPlot.min.css': 'dist/uPlot.min.css' }
    assert.deepEqual(fs.readdirSync(vendored).sort(), Object.keys(files).sort())
    for (const [own, theirs] of Object.entries(files)) {
      assert.ok(fs.readFileSync(path.join(vendored, own)).equals(fs.readFileSync(path.join(release, theirs))), own)
    }
  })

  for (const [screen, viewport] of Object.entries({ desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } })) {
    for (const colorScheme of ['light', 'dark']) {
      test(`pictures: ${screen}, ${colorScheme}`, async () => {
        for (const [view, key] of [['user_totals', 'user5'], ['user_windows', 'user5'], ['user_totals', 'whale']]) {
          const own = await open(place({ view, key }), { viewport, colorScheme })
          await own.shows('[data-term=whole] b', /^[0-9.]+$/)
          await waitUntil(() => inked(own, 'batch'), 'the chart to be drawn')
          // Nothing is wider than the screen.
          assert.equal(await own.page.evaluate(() => document.documentElement.scrollWidth), viewport.width)
          await own.picture(`${view}-${key}-${screen}-${colorScheme}`)
        }
      })
    }
  }

  // The last one: it makes other snapshots.
  test('a server that is killed is waited for; an older snapshot can be read with', async () => {
    const own = await open(place({ view: 'user_totals', key: 'user6' }))
    own.allowed = (url) => url.includes('/views')
    await own.shows('#pulse', 'live')
    const whole = await own.text('[data-term=whole] b')
    await served.end('SIGKILL')
    await own.shows('#refusal', 'The server does not answer')
    await own.shows('#pulse', 'no answer')
    assert.equal(await own.text('[data-term=whole] b'), whole)
    await served.start('200ms')
    await own.shows('#pulse', 'live')
    await served.snapshotted(events.ends)
    await events.write([['user6', '1', minute(1)]])
    await served.snapshotted(events.ends)
    const [older] = (await served.json('/views/user_totals')).snapshots.sort((a, b) => a - b)
    await own.shows('[data-term=whole] b', `${Number(whole) + 1}`)
    await own.page.locator(`[data-pin="${older}"]`).click()
    await own.shows('h1', `read with snapshot #${older}`)
    await own.shows('[data-term=speed] b', /^1$/)
    await own.page.getByRole('button', { name: 'Back to the newest' }).click()
    await own.shows('[data-term=speed] b', 'nothing')
    assert.equal(await own.text('[data-term=whole] b'), `${Number(whole) + 1}`)
  })
})

// The README's picture: a view while events come. UPDATE_PICTURES=1 TIDEMARK_FOREIGN=page scripts/test foreign
if (process.env.UPDATE_PICTURES) {
  test('the picture of the README is taken', async () => {
    const live = new Events()
    await live.open(4, 'user_events')
    const shown = new Served(live.topic)
    await shown.start('4s')
    const own = await Watched.open(browser, `${shown.url}/${place({ view: 'user_totals', key: 'user1', field: 'total_value' })}`)
    own.allowed = (url) => url.includes('/views/')
    for (let written = 0; own.asked.filter((url) => url.endsWith('/views')).length < 40; written += 20) {
      await live.write(purchases(written, 20).map(([user, value], at) =>
        [`user${(written * 7 + at * at) % (at + 1) + 1}`, `${value}`, minute(written / 200)]))
      await own.page.waitForTimeout(200)
    }
    const file = path.join(root, 'docs/pictures/page.png')
    fs.mkdirSync(path.dirname(file), { recursive: true })
    await own.page.screenshot({ path: file })
    await own.close()
    await shown.remove()
    await live.close()
  })
}
