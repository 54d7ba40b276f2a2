// The search: a box with the keys that begin as what is typed.
import { make, show } from './show.js'

/** While somebody types, nothing is asked. */
const PAUSE_MS = 120

export class Search {
  #form = document.getElementById('search')
  #box = document.getElementById('key')
  #list = document.getElementById('keys')
  #more = document.getElementById('more')
  #keys = []
  #active = -1
  #chosen = null
  #timer = 0
  #turn = 0

  /** `find` gives keys for a text; `choose` is told which one is meant. */
  constructor(find, choose) {
    this.find = find
    this.choose = choose
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      this.#take(this.#keys[this.#active] ?? this.#box.value)
    })
    this.#box.addEventListener('input', () => {
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.look(), PAUSE_MS)
    })
    this.#box.addEventListener('keydown', (event) => this.#press(event))
    // Before the box loses its focus, which would hide the list on a narrow screen.
    this.#list.addEventListener('mousedown', (event) => event.preventDefault())
    this.#list.addEventListener('click', (event) => {
      const option = event.target.closest('[data-at]')
      if (option) this.#take(this.#keys[Number(option.dataset.at)])
    })
  }

  /** The key that the page is at. */
  set chosen(key) {
    if (key === this.#chosen) return
    this.#chosen = key
    if (document.activeElement !== this.#box) this.#box.value = key ?? ''
    this.#draw()
  }

  get idle() {
    return document.activeElement !== this.#box
  }

  /** Looks for keys again, and gives them; null if that is not known. `all` whatever is typed: the box has the chosen key in it then. */
  async look(all = this.idle) {
    const turn = ++this.#turn
    const found = await this.find(all ? '' : this.#box.value)
    if (turn !== this.#turn || !found) return null
    if (found.keys.join('\0') !== this.#keys.join('\0')) this.#active = -1
    this.#keys = found.keys
    show(this.#more, found.more ? 'There are more: type how the key begins.' : this.#keys.length ? '' : 'No key begins so.')
    this.#draw()
    return this.#keys
  }

  #press(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 }
    if (event.key in steps && this.#keys.length) {
      event.preventDefault()
      const last = this.#keys.length - 1
      const at = this.#active + steps[event.key]
      this.#active = at < 0 ? last : at > last ? 0 : at
      this.#draw()
      this.#list.children[this.#active]?.scrollIntoView({ block: 'nearest' })
    } else if (event.key === 'Escape') {
      this.#active = -1
      this.#box.blur()
      this.#draw()
    }
  }

  #take(key) {
    this.#active = -1
    this.#box.value = key
    this.#box.blur()
    this.choose(key)
  }

  #draw() {
    this.#box.setAttribute('aria-expanded', String(this.#keys.length > 0))
    if (this.#active < 0) this.#box.removeAttribute('aria-activedescendant')
    else this.#box.setAttribute('aria-activedescendant', `key-${this.#active}`)
    show(this.#list, this.#keys.map((key, at) => make('li', {
      id: `key-${at}`,
      role: 'option',
      'data-at': at,
      'aria-selected': String(key === this.#chosen),
      class: at === this.#active ? 'active' : null,
    }, key === '' ? make('i', {}, 'empty text') : key)))
  }
}
