// The two charts, by uPlot: a number over the time that the page is open, and over a key's windows.
import { make, show, clock, utc } from './show.js'

/** So many moments are kept; at one a second it is a quarter of an hour. */
const MOST_MOMENTS = 900

/** What has been seen of a key while the page is open. */
export class History {
  #moments = []

  add(at, whole, batch) {
    this.#moments.push({ at, whole, batch })
    if (this.#moments.length > MOST_MOMENTS) this.#moments.shift()
  }

  /** Nothing has been looked at for a while: lines must not cross that. */
  pause(at) {
    if (this.#moments.at(-1)?.whole) this.#moments.push({ at, whole: null, batch: null })
  }

  points(path) {
    return this.#moments.map(({ at, whole, batch }) =>
      ({ x: at, whole: whole?.get(path) ?? null, batch: batch?.get(path) ?? null }))
  }
}

/** A key's windows as points. */
export const points = (rows, path, numbers) => rows.map(({ start, whole, batch }) =>
  ({ x: Number(start), whole: numbers(whole).get(path) ?? null, batch: numbers(batch).get(path) ?? null }))

/** One chart in an element. It is made anew when its kind, colours or name change. */
export class Chart {
  #into
  #legend
  #plot = null
  #kind = ''
  #points = []

  constructor(into, legend) {
    this.#into = into
    this.#legend = legend
    new ResizeObserver(() => this.#fit()).observe(into)
    // The colours are the page's, which go by what the system says.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.clear())
  }

  clear() {
    this.#plot?.destroy()
    this.#plot = null
    this.#points = []
    show(this.#legend)
  }

  /** `kind` is live or windows. */
  draw(kind, points) {
    if (kind !== this.#kind) this.clear()
    this.#kind = kind
    this.#points = points.filter(({ x }) => Math.abs(x) <= 8.64e15)
    const column = (name) => this.#points.map((point) => point[name]?.near ?? null)
    const data = [this.#points.map(({ x }) => x / 1000), column('whole'), column('batch')]
    if (this.#plot) this.#plot.setData(data)
    else this.#plot = new uPlot(this.#options(), data, this.#into)
    this.#tell()
  }

  #fit() {
    this.#plot?.setSize(this.#room())
  }

  #room() {
    const { clientWidth, clientHeight } = this.#into
    return { width: Math.max(200, clientWidth), height: Math.max(140, clientHeight) }
  }

  #options() {
    const styles = getComputedStyle(document.documentElement)
    const colour = (name) => styles.getPropertyValue(`--${name}`).trim()
    const windows = this.#kind === 'windows'
    const axis = {
      stroke: colour('quiet'),
      font: `11px ${colour('font')}`,
      grid: { stroke: colour('line'), width: 1 },
      ticks: { show: false },
    }
    const times = { ...axis, space: 78, size: windows ? 40 : 28, values: (_, ticks, __, ___, step) => ticks.map((tick) => moment(tick, step, windows)) }
    const bars = windows ? uPlot.paths.bars({ size: [0.8, 48] }) : undefined
    const line = (name, more) => ({
      stroke: colour(name),
      width: windows ? 0 : 2,
      points: { show: windows ? false : (plot) => plot.data[0].length < 2 },
      paths: windows ? bars : undefined,
      fill: windows ? colour(name) : undefined,
      ...more,
    })
    return {
      ...this.#room(),
      padding: [12, 12, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      // Windows are of event time, which is UTC; the rest goes by the clock on the wall.
      tzDate: windows ? (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : undefined,
      scales: {
        x: { time: true, range: windows ? rangeOfBars : rangeOfTime },
        y: { range: windows ? (_, low, high) => rangeOf(Math.min(0, low), Math.max(0, high)) : (_, low, high) => rangeOf(low, high) },
      },
      axes: [times, { ...axis, size: widest, incrs: STEPS, values: (_, ticks) => ticks.map((tick) => label(tick, ticks)) }],
      series: [
        {},
        line(windows ? 'speed' : 'ink', {}),
        line('batch', windows ? {} : { paths: uPlot.paths.stepped({ align: 1 }) }),
      ],
      // What lies between both is the speed layer's.
      bands: windows ? [] : [{ series: [1, 2], fill: colour('speed-wash') }],
      hooks: { setCursor: [() => this.#tell()] },
    }
  }

  /** The digits under the cursor, or the newest ones, as they were written. */
  #tell() {
    const windows = this.#kind === 'windows'
    const at = this.#plot?.cursor.idx ?? this.#points.findLastIndex(({ whole }) => whole !== null)
    const point = this.#points[at]
    if (!point) return show(this.#legend)
    const time = windows ? `${utc(point.x)} UTC` : clock(point.x)
    show(
      this.#legend,
      make('span', { class: 'at' }, time),
      make('span', { class: windows ? 'mark speed' : 'mark whole' }, windows ? 'the whole bar: merged ' : 'merged ', digits(point.whole)),
      make('span', { class: 'mark batch' }, 'batch part ', digits(point.batch)),
      windows ? null : make('span', { class: 'mark wash' }, 'speed part'),
      make('span', { class: 'quiet' }, windows ? 'by the start of the window, UTC' : 'since this page was opened'),
    )
  }
}

const digits = (number) => make('b', { class: 'digits' }, number?.text ?? 'none')

/** At least some seconds, so that the first moments do not look like hours. */
function rangeOfTime(plot) {
  const times = plot.data[0]
  const [from, to] = [times.at(0) ?? 0, times.at(-1) ?? 0]
  return [Math.min(from, to - 20), to]
}

const DAY = 86_400

/** A tick of the time axis: the day, too, where days are passed. */
function moment(seconds, step, utc) {
  const options = { hour12: false, timeZone: utc ? 'UTC' : undefined }
  const time = new Date(seconds * 1000)
  const day = () => time.toLocaleDateString('sv', options)
  if (step >= DAY) return day()
  const own = { ...options, hour: '2-digit', minute: '2-digit', second: step < 60 ? '2-digit' : undefined }
  const text = time.toLocaleTimeString('sv', own)
  return utc && seconds % DAY === 0 ? `${day()}\n${text}` : text
}

/** Half a bar of room at both ends. */
function rangeOfBars(plot) {
  const starts = plot.data[0]
  const [from, to] = [starts.at(0) ?? 0, starts.at(-1) ?? 0]
  const room = starts.length > 1 ? (to - from) / (starts.length - 1) / 1.6 : 1800
  return [from - room, to + room]
}

function rangeOf(low, high) {
  if (low === null || high === null) return [0, 1]
  if (low === high) return [low - Math.max(1, Math.abs(low) * 0.05), high + Math.max(1, Math.abs(high) * 0.05)]
  const room = (high - low) * 0.08
  return [low === 0 ? 0 : low - room, high === 0 ? 0 : high + room]
}

/** Steps of numbers of any size that a float has. */
const STEPS = Array.from({ length: 320 }, (_, at) => at - 16)
  .flatMap((power) => [1, 2, 5].map((part) => Number(`${part}e${power}`)))
  .filter(Number.isFinite)

const PLAIN = new Intl.NumberFormat('en', { maximumFractionDigits: 6 })

function label(tick, ticks) {
  const largest = Math.max(...ticks.map(Math.abs))
  return largest < 1e9 ? PLAIN.format(tick) : tick === 0 ? '0' : tick.toExponential(3).replace(/\.?0+e/, 'e')
}

const widest = (_, labels) => 18 + 6.6 * Math.max(3, ...(labels ?? []).map((text) => text.length))
