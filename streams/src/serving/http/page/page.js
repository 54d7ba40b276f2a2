// A view's page: what it is at stands behind the # of its address, and every second it asks again.
import { Chart, History, points } from './chart.js'
import { Refused, ask, keysOf, one, windowsOf } from './server.js'
import { Search } from './search.js'
import { make, show, span } from './show.js'
import { numbers } from './values.js'
import * as panels from './panels.js'

const PERIOD_MS = 1000
/** Keys come and go more rarely. */
const PERIODS_OF_KEYS = 5

const element = (id) => document.getElementById(id)
const chart = new Chart(element('chart'), element('legend'))
const search = new Search(find, (key) => go({ key, window: null }))

/** Where the page is: the names are those of the address. */
let at = { view: null, key: null, field: null, window: null, snapshot: null }
let views = []
let answered = null
let history = new History()
let windowsFrom = null
/** Whether the view has been found to have no key. */
let isEmpty = false
let seen = new Map()
let timer = 0
let round = 0
let abort = new AbortController()
let lastAnswer = null

const view = () => views.find((own) => own.get('name') === at.view) ?? null
const isWindowed = (own) => own.get('windows') !== null

function address(place) {
  const pairs = new URLSearchParams()
  for (const [name, value] of Object.entries(place)) if (value !== null) pairs.set(name, value)
  return `#${pairs}`
}

/** Goes somewhere else on the page; `kept` leaves no step to go back to. */
function go(changes, kept = false) {
  const to = address({ ...at, ...changes })
  if (to === location.hash) return
  window.history[kept ? 'replaceState' : 'pushState'](null, '', to)
  arrive()
}

function arrive() {
  const pairs = new URLSearchParams(location.hash.slice(1))
  const before = at
  at = Object.fromEntries(Object.keys(at).map((name) => [name, pairs.get(name)]))
  if (at.view !== before.view) {
    seen = new Map()
    search.look(true)
  }
  if (['view', 'key', 'snapshot'].some((name) => at[name] !== before[name])) {
    answered = null
    history = new History()
    windowsFrom = null
    chart.clear()
  }
  search.chosen = at.key
  if (answered) draw()
  refresh()
}

/** Asks, shows, and sets the time for the next time. */
async function refresh() {
  clearTimeout(timer)
  abort.abort()
  abort = new AbortController()
  const { signal } = abort
  const began = performance.now()
  try {
    const told = await ask('views', signal)
    views = told.body.get('views')
    drawViews()
    if (!view()) {
      const first = views[0]
      if (at.view === null && first) return go({ view: first.get('name') }, true)
      // The server says it as it says everything else.
      await ask(`views/${encodeURIComponent(at.view ?? '')}`, signal)
    }
    isEmpty = false
    if (at.key === null) {
      const keys = await search.look()
      if (signal.aborted) return
      if (keys?.length) return go({ key: keys[0] }, true)
      isEmpty = keys !== null
    } else {
      if (round % PERIODS_OF_KEYS === 0) search.look()
      answered = await answer(view(), signal)
    }
    round += 1
    succeeded()
  } catch (error) {
    if (signal.aborted) return
    failed(error)
  }
  if (signal.aborted) return
  if (!document.hidden) timer = setTimeout(refresh, Math.max(100, PERIOD_MS - (performance.now() - began)))
  draw()
}

/** What the server says of the key: an answer, and its windows if it has some. */
async function answer(own, signal) {
  if (!isWindowed(own)) {
    const got = await one(at.view, at.key, at, signal)
    const parts = got.body.get('parts')
    history.add(Date.now(), numbers(got.body.get('value')), parts.get('batch') && numbers(parts.get('batch')))
    return { ...got, rows: null }
  }
  const all = await windowsOf(at.view, at.key, at, windowsFrom, signal)
  windowsFrom = all.rows[0]?.get('window').get('start').text ?? null
  const row = at.window === null
    ? all.rows.at(-1)
    : all.rows.find((own) => own.get('window').get('start').text === at.window)
  if (row) return { ...all, body: new Map([...all.body, ...row]) }
  if (at.window !== null) return { ...await one(at.view, at.key, at, signal), rows: all.rows, rest: all.rest }
  throw Object.assign(new Error(`view ${JSON.stringify(at.view)} has no window of key ${JSON.stringify(at.key)}`), {
    code: 'no_window',
    more: new Map([['coverage', all.body.get('coverage')]]),
  })
}

function succeeded() {
  lastAnswer = Date.now()
  show(element('refusal'))
  show(element('pulse'), make('span', { class: 'dot' }), 'live')
  element('pulse').dataset.state = 'live'
}

function failed(error) {
  const said = error instanceof Refused || error.code === 'no_window'
  if (said) {
    lastAnswer = Date.now()
    answered = null
    show(element('refusal'), panels.refusal(error))
    show(element('pulse'), make('span', { class: 'dot' }), 'live')
    element('pulse').dataset.state = 'live'
    return
  }
  // What was there stays to be read, and is told to be old.
  const ago = lastAnswer === null ? '' : `; the last answer came ${span(Date.now() - lastAnswer)} ago`
  show(element('refusal'), make('p', { class: 'notice bad' }, `The server does not answer${ago}. The page goes on trying. (${error.message})`))
  show(element('pulse'), make('span', { class: 'dot' }), 'no answer')
  element('pulse').dataset.state = 'lost'
}

function drawViews() {
  const names = views.map((own) => own.get('name'))
  show(element('view'), names.map((name) => make('option', { value: name, selected: name === at.view }, name)))
  const own = view()
  const newest = own?.get('snapshot')
  if (newest) seen.set(newest.get('id').text, newest)
}

function draw() {
  const own = view()
  document.title = [at.key, at.view, 'Tidemark'].filter((text) => text !== null).join(' · ')
  element('whole').hidden = !answered
  if (own) drawView(own)
  const about = answered?.body ?? own?.get('now')
  show(element('head'), heading(), about && own ? panels.tiles(about, own) : null)
  if (about && own) show(element('coverage'), panels.coverage(about, own, at.snapshot))
  if (answered) drawAnswer(own)
}

function heading() {
  if (at.key === null) return make('h1', { class: 'quiet' }, 'All keys')
  const window = answered?.body.get('window')
  return make('h1', {}, at.key === '' ? make('i', {}, 'empty text') : at.key,
    window ? make('small', {}, ` ${panels.frame(window.get('start').text, window.get('end').text)} UTC`) : null,
    at.snapshot === null ? null : make('small', {}, ` read with snapshot #${at.snapshot}`))
}

function drawView(own) {
  const problem = own.get('problem')
  show(element('notices'),
    problem ? make('p', { class: 'notice' }, problem) : null,
    isEmpty ? make('p', { class: 'notice' }, 'There is no key in this view yet.') : null)
  show(element('definition'), ...panels.definition(own))
  show(element('snapshots'), panels.snapshots(own, seen, at.snapshot))
}

function drawAnswer(own) {
  const { body, text, path, rows, rest } = answered
  const [value, parts] = [body.get('value'), body.get('parts')]
  const [batch, speed] = [parts?.get('batch'), parts?.get('speed')]
  const paths = [...numbers(value).keys()]
  const field = paths.includes(at.field) ? at.field : paths[0]
  show(element('number'), paths.map((path) =>
    make('option', { value: path, selected: path === field }, path === '' ? 'value' : path)))
  show(element('equation'), panels.equation(field, value, batch, speed))
  show(element('value'), panels.valueTable(value, parts))
  element('figure').hidden = field === undefined
  if (field !== undefined) {
    const drawn = rows
      ? points(rows.map((row) => ({
          start: row.get('window').get('start').text,
          whole: row.get('value'),
          batch: row.get('parts').get('batch'),
        })), field, numbers)
      : history.points(field)
    chart.draw(rows ? 'windows' : 'live', drawn)
  }
  element('windows-card').hidden = !rows
  if (rows) show(element('windows'), panels.windowTable(rows, field ?? '', body.get('window').get('start').text, rest))
  show(element('asked'), 'GET ', make('a', { href: path }, path))
  show(element('raw'), text.length > 20_000 ? `${text.slice(0, 20_000)}…` : text)
}

/** The search's keys. */
async function find(prefix) {
  const own = view()
  if (!own) return null
  const windowed = isWindowed(own)
  try {
    return await keysOf(at.view, prefix, { text: true, windowed })
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== 'bad_parameter') return null
  }
  // Keys that are not text have no beginning.
  return keysOf(at.view, prefix, { text: false, windowed }).catch(() => null)
}

element('view').addEventListener('change', ({ target }) =>
  go({ view: target.value, key: null, field: null, window: null, snapshot: null }))
element('number').addEventListener('change', ({ target }) => go({ field: target.value }, true))
document.addEventListener('click', ({ target }) => {
  const button = target.closest('[data-window], [data-pin]')
  if (!button) return
  const { window, pin } = button.dataset
  if (window !== undefined) go({ window })
  else go({ snapshot: pin || null })
})
// It must not become a place of the page.
document.querySelector('[data-skip]').addEventListener('click', (event) => {
  event.preventDefault()
  element('answer').focus()
})
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    clearTimeout(timer)
    history.pause(Date.now())
  } else refresh()
})
addEventListener('popstate', arrive)
arrive()
