// What each part of the page shows of an answer. They make elements; show.js puts them in place.
import { write, plain } from './json.js'
import { make, span, size, grouped, utc, clock } from './show.js'
import { fields, numbers, addUp, offsets } from './values.js'

const LONGEST_TEXT = 4000

const shortened = (text) => text.length > LONGEST_TEXT
  ? `${text.slice(0, LONGEST_TEXT)}… (${grouped(text.length)} characters)`
  : text

/** Nothing is told apart from null: a part may have nothing of a key. */
const leaf = (value) => value === undefined || value === null
  ? make('span', { class: 'quiet' }, value === null ? 'null' : 'none')
  : make('span', { class: 'digits' }, shortened(plain(value)))

const name = (path) => path === '' ? 'value' : path

/** The line of figures above an answer. */
export function tiles(answer, view) {
  const snapshot = answer.get('snapshot')
  const newest = view.get('snapshot')
  const age = newest && newest.get('id').text === snapshot?.text ? `${span(newest.get('age_ms').near)} old` : 'not the newest'
  const fresh = answer.get('freshness_ms')
  const covered = offsets(answer.get('begin'), answer.get('coverage'))
  const count = [...answer.get('coverage').values()].reduce((sum, own) => sum + own.size, 0)
  return make('dl', { class: 'tiles' },
    fresh
      ? tile('freshness', 'Freshness', span(fresh.near), `${grouped(BigInt(fresh.text))} ms since it had all of the log; while it lags, since its last record`, fresh.near > 10_000)
      : tile('freshness', 'Freshness', 'unknown', 'the broker has not yet said what the log has', true),
    tile('covered', 'Covers', grouped(covered), `offsets of ${count} partition${count === 1 ? '' : 's'}, each record once`),
    tile('snapshot', 'Snapshot', snapshot ? `#${snapshot.text}` : 'none yet', snapshot ? age : 'all is from the speed layer'),
    finality(answer.get('final'), view.get('windows') !== null))
}

function finality(final, windowed) {
  if (!windowed) return tile('final', 'Finality', 'open', 'no windows: events may always come')
  return final
    ? tile('final', 'Finality', 'final', 'the watermark has passed the window')
    : tile('final', 'Finality', 'open', 'events of the window may still come')
}

const tile = (id, title, text, more, late) => make('div', { class: late ? 'tile late' : 'tile', 'data-tile': id },
  make('dt', {}, title), make('dd', {}, make('b', { class: 'digits' }, text), make('small', {}, more)))

/** What a number is made of. */
export function equation(path, whole, batch, speed) {
  const [sum, first, second] = [whole, batch, speed].map((value) => numbers(value).get(path))
  if (!sum) return make('p', { class: 'quiet' }, 'There is no number in this value.')
  const both = first && second
  const adds = both && addUp(first, second, sum)
  return make('div', { class: 'equation' },
    term('batch', 'batch part', first),
    make('span', { class: 'sign', title: 'merged with' }, adds || !both ? '+' : '⊕'),
    term('speed', 'speed part', second),
    make('span', { class: 'sign' }, '='),
    term('whole', 'merged', sum),
    adds ? make('p', { class: 'proof' }, 'They add up, digit for digit.') : null)
}

function term(kind, title, number) {
  const text = number?.text ?? 'nothing'
  const long = text.length > 24 ? ' longest' : text.length > 11 ? ' long' : ''
  return make('div', { class: `term ${kind}`, 'data-term': kind },
    make('b', { class: `digits${long}${number ? '' : ' quiet'}` }, text), make('small', {}, title))
}

/** The value field by field. */
export function valueTable(whole, parts) {
  const [all, batch, speed] = [whole, parts?.get('batch'), parts?.get('speed')].map(fields)
  const paths = new Set([...all.keys(), ...batch.keys(), ...speed.keys()])
  const cell = (kind, title, own, path) =>
    make('td', { class: kind, 'data-title': title }, leaf(own.has(path) ? own.get(path) : undefined))
  return make('table', { class: 'value' },
    make('thead', {}, make('tr', {}, ['Field', 'Batch part', 'Speed part', 'Merged'].map((title) =>
      make('th', { scope: 'col' }, title)))),
    make('tbody', {}, [...paths].map((path) => make('tr', { 'data-field': path },
      make('th', { scope: 'row' }, name(path)),
      cell('batch', 'batch', batch, path), cell('speed', 'speed', speed, path), cell('whole', 'merged', all, path)))))
}

/** The windows of a key, newest first; `rest` says whether there are newer ones still to be read. */
export function windowTable(rows, path, chosen, rest) {
  const of = (value) => leaf(value ? fields(value).get(path) : undefined)
  const newest = rows.slice(-60).reverse()
  return [
    make('table', { class: 'windows' },
      make('thead', {}, make('tr', {}, ['Window (UTC)', 'Batch part', 'Speed part', `Merged: ${name(path)}`, ''].map((title) =>
        make('th', { scope: 'col' }, title)))),
      make('tbody', {}, newest.map((row) => {
        const [start, end] = ['start', 'end'].map((side) => row.get('window').get(side).text)
        const parts = row.get('parts')
        return make('tr', { class: start === chosen ? 'chosen' : null },
          make('th', { scope: 'row' },
            make('button', { type: 'button', 'data-window': start, 'aria-pressed': String(start === chosen) }, frame(start, end))),
          make('td', { class: 'batch' }, of(parts.get('batch'))),
          make('td', { class: 'speed' }, of(parts.get('speed'))),
          make('td', { class: 'whole' }, of(row.get('value'))),
          make('td', { class: 'quiet' }, row.get('final') ? 'final' : 'open'))
      }))),
    rest ? make('p', { class: 'notice' }, 'There are many windows: newer ones than these are being read.') : null,
    rows.length > newest.length ? make('p', { class: 'quiet' }, `The newest ${newest.length} of ${rows.length}; the chart has all of these.`) : null,
  ]
}

/** A window as people say it; the day is said once. */
export function frame(start, end) {
  const [from, to] = [utc(start), utc(end)]
  return `${from} – ${from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to}`
}

/** Up to where each partition is covered, and by what. */
export function coverage(answer, view, pinned) {
  const [begin, covered] = [answer.get('begin'), answer.get('coverage')]
  const batch = pinned ? null : view.get('snapshot')?.get('coverage')
  const rows = []
  for (const [topic, partitions] of covered) {
    rows.push(make('tr', { class: 'topic' }, make('th', { scope: 'rowgroup', colspan: 6 }, topic)))
    for (const [partition, end] of partitions) {
      const from = begin.get(topic)?.get(partition)?.text ?? '0'
      const seam = batch?.get(topic)?.get(partition)?.text
      rows.push(covers({ topic, partition, from, seam, to: end.text }))
    }
  }
  return [
    make('table', { class: 'coverage' },
      make('thead', {}, make('tr', {}, ['Partition', 'From', '', 'Snapshot to', 'Answer to', 'Newer'].map((title) =>
        make('th', { scope: 'col' }, title)))),
      make('tbody', {}, rows)),
    make('p', { class: 'quiet' },
      make('span', { class: 'mark batch' }, 'in the snapshot'), ' ',
      make('span', { class: 'mark speed' }, 'newer, from the speed layer'),
      '. The answer has each record in front of these offsets, once.'),
  ]
}

function covers({ topic, partition, from, seam, to }) {
  const [begin, end] = [BigInt(from), BigInt(to)]
  const between = seam === undefined ? begin : BigInt(seam) < end ? BigInt(seam) : end
  const part = end > begin ? Number((between - begin) * 10_000n / (end - begin)) / 100 : 0
  return make('tr', { 'data-partition': `${topic}-${partition}` },
    make('th', { scope: 'row' }, partition),
    make('td', {}, grouped(begin)),
    make('td', { class: 'bar-cell' }, make('div', { class: 'bar' },
      make('span', { class: 'batch', width: `${part}%` }),
      end > between ? make('span', { class: 'speed' }) : null)),
    make('td', { class: 'batch' }, seam === undefined ? make('span', { class: 'quiet' }, '–') : grouped(between)),
    make('td', { class: 'whole' }, grouped(end)),
    make('td', { class: 'speed' }, seam === undefined ? make('span', { class: 'quiet' }, '–') : `+${grouped(end - between)}`))
}

/** The snapshots that are held, and those that have come while the page is open. */
export function snapshots(view, seen, pinned) {
  const held = view.get('snapshots').map((id) => id.text)
  const newest = view.get('snapshot')?.get('id').text
  const ids = [...new Set([...held, ...seen.keys()])].sort((a, b) => Number(b) - Number(a)).slice(0, 8)
  if (!ids.length) return make('p', { class: 'quiet' }, 'There is none yet: everything is in the speed layer.')
  return make('table', { class: 'snapshots' },
    make('thead', {}, make('tr', {}, ['Snapshot', 'Made', 'Records', 'States', 'In memory', ''].map((title) =>
      make('th', { scope: 'col' }, title)))),
    make('tbody', {}, ids.map((id) => {
      const known = seen.get(id)
      const figure = (field, format) => make('td', {}, known ? format(known.get(field)) : make('span', { class: 'quiet' }, '–'))
      const chosen = id === (pinned ?? newest)
      return make('tr', { class: chosen ? 'chosen' : null },
        make('th', { scope: 'row' }, `#${id}`),
        figure('created', (own) => clock(own.text)),
        figure('records', (own) => grouped(BigInt(own.text))),
        figure('states', (own) => grouped(BigInt(own.text))),
        figure('bytes', (own) => size(own.near)),
        make('td', {}, state(id, held, newest, pinned)))
    })))
}

function state(id, held, newest, pinned) {
  if (id === pinned) return make('button', { type: 'button', 'data-pin': '' }, 'Back to the newest')
  if (id === newest && !pinned) return make('span', { class: 'quiet' }, 'read with')
  if (held.includes(id)) return make('button', { type: 'button', 'data-pin': id }, 'Read with it')
  return make('span', { class: 'quiet' }, 'no longer held')
}

/** An error of the server, as it is. */
export function refusal(error) {
  return make('div', { class: 'notice bad', 'data-code': error.code },
    make('p', {}, make('code', {}, error.code), ' ', make('b', {}, error.message)),
    error.hint ? make('p', {}, error.hint) : null,
    [...error.more ?? []].map(([title, value]) => make('p', { class: 'digits' }, `${title}: ${shortened(write(value))}`)))
}

/** What a view is. */
export function definition(view) {
  const speed = view.get('speed')
  return [
    make('h2', {}, view.get('name')),
    make('p', {}, view.get('definition')),
    view.get('windows') ? make('p', {}, `By windows: ${view.get('windows')}`) : null,
    make('p', { class: 'quiet' },
      `The speed layer has ${grouped(speed.get('states').near)} states in ${grouped(speed.get('segments').near)} segments (${size(speed.get('bytes').near)}).`),
    make('p', { class: 'quiet' }, 'Fingerprint ', make('code', {}, view.get('fingerprint'))),
  ]
}
