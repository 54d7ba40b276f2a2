// Making what is shown, and changing only what is different: a selection, a focus and a scrolled list
// stay as they are when the next answer comes. All text becomes text, whatever is in it.

/** An element. Attributes that are null, undefined or false are left out. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'width') made.style.width = value
    else if (value === true) made.setAttribute(name, '')
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value)
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false))
  return made
}

/** Makes these the children of an element. */
export function show(into, ...children) {
  const fresh = make('div', {}, ...children)
  settle(into, fresh)
}

function settle(old, fresh) {
  let at = old.firstChild
  for (const node of [...fresh.childNodes]) {
    const next = at?.nextSibling
    if (!at) old.append(node)
    else if (at.nodeName !== node.nodeName) at.replaceWith(node)
    else if (node.nodeType === Node.TEXT_NODE) {
      if (at.data !== node.data) at.data = node.data
    } else {
      dress(at, node)
      settle(at, node)
    }
    at = next
  }
  while (at) {
    const next = at.nextSibling
    at.remove()
    at = next
  }
}

function dress(old, fresh) {
  // The policy for content forbids styles as attributes, but not as properties.
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText
  for (const { name } of [...old.attributes]) {
    if (name !== 'style' && !fresh.hasAttribute(name)) old.removeAttribute(name)
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== 'style' && old.getAttribute(name) !== value) old.setAttribute(name, value)
  }
  // What a person has chosen is in a property.
  if (old.nodeName === 'OPTION' && old.selected !== fresh.hasAttribute('selected')) {
    old.selected = fresh.hasAttribute('selected')
  }
}

const GROUPS = new Intl.NumberFormat('en')

/** A whole number with groups: 12,345. */
export const grouped = (number) => GROUPS.format(number)

/** Milliseconds as people say them. */
export function span(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.floor(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const hours = Math.floor(seconds / 3600)
  if (hours < 48) return `${hours} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(hours / 24)} days`
}

/** Bytes as people say them. */
export function size(bytes) {
  const steps = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const step = Math.min(steps.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return `${step ? (bytes / 1024 ** step).toFixed(1) : bytes} ${steps[step]}`
}

/** The most that a Date can say. */
const LAST_MOMENT = 8.64e15

/** Event time: always UTC, as it is in views. */
export function utc(ms) {
  const number = Number(ms)
  if (!(Math.abs(number) <= LAST_MOMENT)) return `${ms} ms`
  return new Date(number).toISOString().replace('T', ' ').replace(/(:00)?\.000Z$/, '').replace('Z', '')
}

/** The clock on the wall of whoever looks. */
export const clock = (ms) => new Date(Number(ms)).toLocaleTimeString([], { hour12: false })
