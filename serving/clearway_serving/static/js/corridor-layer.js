/**
 * Corridors of the hour: directed lines on the map, a list and one corridor's day in the panel.
 */
import { byId, element, fill, table } from './dom.js';
import { read } from './api.js';
import { number } from './overview.js';
import { SCALES, UNKNOWN_COLOUR } from './scale.js';

const METHOD_TEXT = {
  night_p85: '85th percentile of nights',
  own_p85: '85th percentile of all windows',
  segments_p85: 'sum of the 85th percentiles of its segments',
};

/** @param {any} row @returns {string} */
const minutes = (row) => `${number(row.travel_time_min, 1)} min (${number(row.interval_low_min, 1)}–${number(row.interval_high_min, 1)})`;

/** @param {any} row @returns {boolean} */
const observed = (row) => row?.status === 'observed';

/** @param {any} row @returns {string} Grey where nothing can be said. */
const colourOf = (row) => (observed(row) && row.tti !== null ? SCALES.tti.colours[SCALES.tti.step(row.tti)] : UNKNOWN_COLOUR);

export class CorridorLayer {
  /**
   * @param {any} meta Answer of /api/meta.
   * @param {import('./city-map.js').CityMap} map
   * @param {import('./clock.js').CityClock} clock
   */
  constructor(meta, map, clock) {
    this.map = map;
    this.clock = clock;
    this.available = meta.corridors.available;
    this.dates = new Set(meta.corridors.dates);
    /** @type {any[]} */ this.corridors = [];
    /** @type {any[]} */ this.rows = [];
    this.hourMs = 0;
    this.now = 0;
    /** @type {number|null} */ this.chosen = null;
    byId('corridor-switch').hidden = !this.available;
    byId('corridor-toggle').addEventListener('change', () => this.draw(this.now));
  }

  /** @param {(corridor: number) => void} opened Called with a line that was clicked. */
  onPick(opened) {
    this.map.onPickCorridor((corridor) => { this.choose(corridor); opened(corridor); });
  }

  /** @param {string} date */
  async load(date) {
    this.rows = [];
    if (!this.available || !this.dates.has(date)) return;
    const answer = await read('/api/corridors', { date });
    const names = Object.keys(answer.values);
    this.corridors = answer.corridors;
    this.hourMs = answer.window_minutes * 60_000;
    this.rows = answer.values.corridor.map((/** @type {number} */ _, /** @type {number} */ n) =>
      Object.fromEntries(names.map((name) => [name, answer.values[name][n]])));
  }

  /** @param {number} corridor @returns {any} Its row of the hour that is shown. */
  rowOf(corridor) {
    return this.rows.find((row) => row.corridor === corridor
      && row.window_start <= this.now && this.now < row.window_start + this.hourMs);
  }

  /** @param {number} now Start of the window. [ms] */
  draw(now) {
    this.now = now;
    const shown = byId('corridor-toggle').checked ? this.corridors : [];
    this.map.setCorridors(shown.map((corridor, n) => ({
      corridor: n, line: corridor.line, colour: colourOf(this.rowOf(n)),
      known: observed(this.rowOf(n)), chosen: this.chosen === n })));
    byId('corridors').hidden = !this.available;
    if (this.available) this.drawList();
  }

  /** @param {number|null} corridor */
  choose(corridor) {
    this.chosen = corridor;
    this.draw(this.now);
  }

  drawList() {
    const order = this.corridors.map((_, n) => n)
      .sort((a, b) => (this.rowOf(b)?.tti ?? 0) - (this.rowOf(a)?.tti ?? 0));
    const hour = this.rows.length ? Math.floor(this.now / this.hourMs) * this.hourMs : this.now;
    fill(byId('corridors'),
      element('h2', { text: 'Corridors' }),
      element('p', { class: 'small muted', text: `Minutes from end to end, ${this.clock.span(hour, this.hourMs / 60_000)}, with 90 % interval.` }),
      element('ol', { class: 'ranking' }, ...order.map((n) => element('li', {}, this.button(n),
        this.chosen === n ? this.dayTable(n) : null))));
  }

  /** @param {number} corridor */
  button(corridor) {
    const row = this.rowOf(corridor);
    const chip = element('span', { class: 'chip chip-line', 'aria-hidden': 'true', 'data-known': String(observed(row)) });
    chip.style.background = observed(row) ? colourOf(row) : '';
    const { name, direction } = this.corridors[corridor];
    const detail = observed(row) ? `${minutes(row)} · at least ${row.n_vehicles} vehicles` : 'not enough observed';
    const button = element('button', { type: 'button', class: 'row-button', 'aria-expanded': String(this.chosen === corridor), 'data-corridor': corridor },
      chip,
      element('span', { class: 'row-name', text: `${name}, ${direction}` }),
      element('span', { class: 'row-value', text: observed(row) && row.tti !== null ? `${number(row.tti, 2)}×` : '–' }),
      element('span', { class: 'row-detail', text: detail }));
    button.addEventListener('click', () => {
      this.choose(this.chosen === corridor ? null : corridor);
      /** @type {HTMLElement} */ (document.querySelector(`[data-corridor="${corridor}"]`)).focus();
    });
    return button;
  }

  /** @param {number} corridor */
  dayTable(corridor) {
    const rows = this.rows.filter((row) => row.corridor === corridor);
    const lines = rows.map((row) => ({ now: row === this.rowOf(corridor), cells: [
      this.clock.time(row.window_start),
      observed(row) ? number(row.travel_time_min, 1) : 'not enough',
      observed(row) ? `${number(row.interval_low_min, 1)}–${number(row.interval_high_min, 1)}` : '',
      number(row.tti, 2), `${number(100 * row.observed_length_share, 0)} %`] }));
    const free = rows.find((row) => row.free_flow_min !== null);
    const method = METHOD_TEXT[/** @type {'own_p85'} */ (free?.free_flow_method)] ?? '';
    const { name, direction } = this.corridors[corridor];
    return element('div', { class: 'scroll corridor-day', tabindex: '0', role: 'region', 'aria-label': `${name}, ${direction}, over the day` },
      table(`${name}, ${direction}`, [{ text: 'From' }, { text: 'Minutes', number: true }, { text: '90 % interval', number: true }, { text: 'Index', number: true }, { text: 'Seen', number: true }], lines),
      element('p', { class: 'small muted', text: free ? `Without congestion ${number(free.free_flow_min, 1)} min: ${method}.` : 'Time without congestion not known yet.' }));
  }
}
