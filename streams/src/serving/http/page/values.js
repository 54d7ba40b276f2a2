// What is in a value: its fields, its numbers, and whether parts add up.
import { Digits } from './json.js'

/** No value is taken apart further. */
const MOST_ROWS = 200
const DEEPEST = 6

const nested = (value, path) =>
  (value instanceof Map || (Array.isArray(value) && path.length === 0)) && path.length < DEEPEST

/** A name that could be taken for several, or for none, stands in quotes. */
const step = (name) => /^[^."]+$/.test(name) ? name : JSON.stringify(name)

function* leaves(value, path = []) {
  if (!nested(value, path)) {
    yield [path.map(step).join('.'), value]
    return
  }
  for (const [name, own] of value.entries()) yield* leaves(own, [...path, String(name)])
}

/** The fields of a value by their paths, `a.b`; a value that is none of fields has the path ''. */
export function fields(value) {
  const found = new Map()
  if (value === null || value === undefined) return found
  for (const [path, own] of leaves(value)) {
    if (found.size >= MOST_ROWS) break
    found.set(path, own)
  }
  return found
}

/** Those fields that are numbers. */
export function numbers(value) {
  return new Map([...fields(value)].filter(([, own]) => own instanceof Digits))
}

const DECIMAL = /^(-?)([0-9]+)(?:\.([0-9]+))?$/
/** Longer ones are not worth the time that the check takes. */
const LONGEST = 10_000

function units(text, scale) {
  const [, sign, whole, part = ''] = DECIMAL.exec(text)
  const value = BigInt(whole + part.padEnd(scale, '0'))
  return sign ? -value : value
}

/**
 * Whether a + b = c, digit for digit, and not because one of them is zero: then c may as well be the larger
 * one, or the last.
 */
export function addUp(a, b, c) {
  const texts = [a, b, c].map(String)
  if (!texts.every((text) => text.length < LONGEST && DECIMAL.test(text))) return false
  const scale = Math.max(...texts.map((text) => DECIMAL.exec(text)[3]?.length ?? 0))
  const [x, y, z] = texts.map((text) => units(text, scale))
  return x !== 0n && y !== 0n && x + y === z
}

/** How many offsets lie between two coverages, in all partitions. */
export function offsets(from, to) {
  let sum = 0n
  for (const [topic, partitions] of to ?? []) {
    for (const [partition, end] of partitions) {
      sum += BigInt(end.text) - BigInt(from?.get(topic)?.get(partition)?.text ?? 0)
    }
  }
  return sum
}
