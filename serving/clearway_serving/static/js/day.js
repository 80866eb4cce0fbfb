/**
 * One day of congestion as the API sends it: columns that refer to cells and windows.
 *
 * @typedef {Object} Row
 * @property {number} cell Place in `cells`.
 * @property {number} window Place in `windows`.
 * @property {number|null} space_mean_kmh
 * @property {number|null} interval_low_kmh
 * @property {number|null} interval_high_kmh
 * @property {number|null} free_flow_kmh
 * @property {number|null} tti
 * @property {number} n_vehicles
 * @property {number} n_pings
 * @property {'A'|'B'|'C'|'X'} quality
 * @property {string} source_class
 */
export class Day {
  /** @param {any} answer Answer of /api/congestion. */
  constructor(answer) {
    /** @type {string} */ this.date = answer.date;
    /** @type {boolean} */ this.settled = answer.settled;
    /** @type {number} */ this.windowMinutes = answer.window_minutes;
    /** @type {number[]} */ this.windows = answer.windows;
    /** @type {string[]} */ this.cells = answer.cells;
    /** @type {string[]} */ this.places = answer.places;
    /** @type {Array<string|null>} */ this.corridors = answer.corridors;
    this.city = answer.city;
    /** @type {Row[][]} */ this.byWindow = this.windows.map(() => []);
    const names = Object.keys(answer.values);
    const { length } = answer.values.cell ?? [];
    for (let n = 0; n < length; n += 1) {
      const row = /** @type {Row} */ (Object.fromEntries(names.map((name) => [name, answer.values[name][n]])));
      this.byWindow[row.window].push(row);
    }
  }

  /** @param {number} window @returns {Row[]} What is published of that window. */
  at(window) { return this.byWindow[window] ?? []; }

  /** The window with the highest city index, which is where a reader wants to begin. */
  get worstWindow() {
    const index = this.city.tti.map((/** @type {number|null} */ v) => v ?? 0);
    return Math.max(0, index.indexOf(Math.max(...index)));
  }
}
