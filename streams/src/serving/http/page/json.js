// JSON whose numbers keep their digits, and whose names may be any text: objects become Maps.

/** A number as it was written. */
export class Digits {
  constructor(text) { this.text = text }
  toString() { return this.text }
  /** What a chart needs: near the number, if it has more digits than a float. */
  get near() { return Number(this.text) }
}

// JSON's own white space only.
const SPACE = /[ \t\n\r]*/y
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const WORD = /true|false|null/y
const WORDS = { true: true, false: false, null: null }
/** As deep as the server's own reader goes. */
const DEEPEST = 128

/** Reads JSON text. */
export function parse(text) {
  let at = 0
  const fail = (what) => { throw new SyntaxError(`${what} expected at character ${at}`) }
  const take = (pattern) => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found) at = pattern.lastIndex
    return found?.[0]
  }
  // Whether this character comes next; it is passed, and white space around it.
  const next = (character) => {
    take(SPACE)
    if (text[at] !== character) return false
    at += 1
    take(SPACE)
    return true
  }
  const string = () => JSON.parse(take(STRING) ?? fail('text'))
  const list = (end, item) => {
    if (next(end)) return
    do item(); while (next(','))
    if (!next(end)) fail(end)
  }
  const value = (depth) => {
    if (depth > DEEPEST) fail('less depth')
    if (next('{')) {
      const object = new Map()
      list('}', () => {
        const name = string()
        if (!next(':')) fail(':')
        object.set(name, value(depth + 1))
      })
      return object
    }
    if (next('[')) {
      const array = []
      list(']', () => array.push(value(depth + 1)))
      return array
    }
    if (text[at] === '"') return string()
    const word = take(WORD)
    if (word) return WORDS[word]
    return new Digits(take(NUMBER) ?? fail('a value'))
  }
  take(SPACE)
  const whole = value(0)
  take(SPACE)
  if (at < text.length) fail('the end')
  return whole
}

/** Writes it again, digits as they were. */
export function write(value) {
  if (value instanceof Digits) return value.text
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`
  if (value instanceof Map) {
    return `{${[...value].map(([name, own]) => `${JSON.stringify(name)}:${write(own)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

/** Text as it is, everything else as JSON: as the server takes keys. */
export const plain = (value) => typeof value === 'string' ? value : write(value)
