// What the page asks, and how answers come back.
import { parse, plain } from './json.js'

/** Longer than a server waits for anything, if it is not told otherwise. */
const PATIENCE_MS = 15_000
/** A key has perhaps many windows; the newest are shown. */
const MOST_WINDOWS = 400
const MOST_PAGES = 25
const PAGE = 1000
/** So many keys are listed. */
const MOST_KEYS = 40
/** So many windows are looked at for the next key. */
const KEYS_PAGE = 100

/** The server's refusal: its status and what it says. */
export class Refused extends Error {
  constructor(status, body, path) {
    const error = body instanceof Map ? body.get('error') : null
    const said = (name) => error instanceof Map ? error.get(name) : undefined
    super(said('message') ?? `the server answered ${status}`)
    Object.assign(this, { status, path, code: said('code') ?? `HTTP ${status}`, hint: said('hint') })
    this.more = body instanceof Map ? new Map([...body].filter(([name]) => name !== 'error')) : new Map()
  }
}

/** GETs a path: its JSON, its text and where it is from. */
export async function ask(path, signal) {
  const signals = [AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])]
  const response = await fetch(path, { signal: AbortSignal.any(signals), headers: { accept: 'application/json' } })
  const text = await response.text()
  let body
  try {
    body = parse(text)
  } catch (error) {
    if (response.ok) throw error
  }
  if (!response.ok) throw new Refused(response.status, body, path)
  return { body, text, path }
}

const query = (pairs) => {
  const own = new URLSearchParams()
  for (const [name, value] of Object.entries(pairs)) {
    if (value !== null && value !== undefined) own.set(name, value)
  }
  return own.toString()
}

/** Browsers take these for folders, even in an encoded path. */
const isFolder = (key) => ['', '.', '..'].includes(key)

/** The answer for a key, with its parts. */
export async function one(view, key, { snapshot, window }, signal) {
  const asked = { parts: 'true', snapshot, window }
  const base = `views/${encodeURIComponent(view)}`
  if (!isFolder(key)) return ask(`${base}/keys/${encodeURIComponent(key)}?${query(asked)}`, signal)
  const answer = await ask(`${base}/many?${query({ key, ...asked })}`, signal)
  return { ...answer, body: answer.body.get('answers')[0] }
}

/**
 * The newest windows of a key, from a start on if it is given; `rest` says that there are newer ones. They
 * come oldest first, so who asks again goes on where these begin.
 */
export async function windowsOf(view, key, { snapshot }, from, signal) {
  const base = `views/${encodeURIComponent(view)}`
  const asked = { limit: PAGE, parts: 'true', snapshot }
  const path = isFolder(key)
    ? (next) => `${base}/keys?${query({ from: key || null, to: `${key}\0`, ...asked, next })}`
    : (next) => `${base}/windows/${encodeURIComponent(key)}?${query({ from, ...asked, next })}`
  let rows = [], next, answer, pages = 0
  do {
    answer = await ask(path(next), signal)
    rows = [...rows, ...answer.body.get('rows')].slice(-MOST_WINDOWS)
    next = answer.body.get('next')
    pages += 1
  } while (next && pages < MOST_PAGES)
  return { ...answer, rows, rest: next !== null }
}

/** Keys that begin so, each once, and whether there are more. */
export async function keysOf(view, prefix, { text, windowed }, signal) {
  const base = `views/${encodeURIComponent(view)}/keys`
  const keys = []
  // Each window of a key is a row, so a page may be of one key only. The next key is behind it.
  let from = null
  for (let pages = 0; pages < MOST_KEYS; pages += 1) {
    const begins = from === null ? { prefix: text ? prefix || null : null } : { from }
    const limit = windowed ? KEYS_PAGE : MOST_KEYS + 1
    const { body } = await ask(`${base}?${query({ ...begins, limit })}`, signal)
    for (const row of body.get('rows')) {
      const key = plain(row.get('key'))
      if (key === keys.at(-1)) continue
      if (text && !key.startsWith(prefix)) return { keys, more: false }
      if (keys.length === MOST_KEYS) return { keys, more: true }
      keys.push(key)
    }
    if (!body.get('next')) return { keys, more: false }
    if (!text) return { keys, more: true }
    from = `${keys.at(-1)}\0`
  }
  return { keys, more: true }
}
