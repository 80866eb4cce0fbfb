/**
 * Air sensors of the hour: pills on the map and a table in the panel.
 */
import { byId, element, table } from './dom.js';
import { read } from './api.js';
import { number } from './overview.js';

export const POLLUTANT_TEXT = { pm2_5: 'PM2.5', pm10: 'PM10', no2: 'NO₂', o3: 'O₃', co: 'CO' };
const HOUR_MS = 3_600_000;

export class AirLayer {
  /**
   * @param {any} meta Answer of /api/meta.
   * @param {import('./city-map.js').CityMap} map
   * @param {import('./clock.js').CityClock} clock
   */
  constructor(meta, map, clock) {
    this.map = map;
    this.clock = clock;
    this.available = meta.air.available;
    this.dates = new Set(meta.air.dates);
    /** @type {string[]} */
    this.pollutants = meta.air.pollutants.map((/** @type {any} */ p) => p.pollutant);
    this.pollutant = this.pollutants.includes('pm2_5') ? 'pm2_5' : this.pollutants[0];
    /** @type {any[]} */ this.rows = [];
    this.unit = '';
    this.date = '';
    this.now = 0;
    byId('air-switch').hidden = !this.available;
    byId('air-toggle').addEventListener('change', () => this.draw(this.now));
  }

  /** @param {string} date */
  async load(date) {
    this.date = date;
    this.rows = [];
    if (!this.available || !this.dates.has(date)) return;
    const answer = await read('/api/air', { date, pollutant: this.pollutant });
    const names = Object.keys(answer.values);
    this.unit = answer.unit ?? '';
    this.rows = answer.values.sensor.map((/** @type {string} */ _, /** @type {number} */ n) =>
      Object.fromEntries(names.map((name) => [name, answer.values[name][n]])));
  }

  /** @param {number} now Start of the window. [ms] */
  draw(now) {
    this.now = now;
    const rows = this.rows.filter((row) => row.hour_start <= now && now < row.hour_start + HOUR_MS);
    const shown = byId('air-toggle').checked ? rows : [];
    this.map.setMarkers(shown.map((row) => ({ ...row, element: this.pill(row) })));
    const name = POLLUTANT_TEXT[/** @type {'co'} */ (this.pollutant)] ?? 'Air';
    byId('air-label').textContent = this.unit ? `${name}, ${this.unit}` : 'Air sensors';
    byId('air').hidden = !this.available;
    if (this.available) this.drawTable(rows);
  }

  /** @param {any} row */
  value(row) { return row.calibrated_hourly_mean ?? row.raw_hourly_mean; }

  /** @param {any} row */
  pill(row) {
    const text = number(this.value(row), 0);
    const name = POLLUTANT_TEXT[/** @type {'co'} */ (this.pollutant)];
    return element('div', { class: 'sensor', role: 'img', 'data-complete': String(row.complete), text,
      'aria-label': `${row.sensor}: ${name} ${text} ${this.unit}${row.complete ? '' : ', hour incomplete'}`,
      title: `${row.sensor}: ${name} ${text} ${this.unit}${row.complete ? '' : ' (hour incomplete)'}` });
  }

  /** @param {any[]} rows @returns {string} How the values were corrected. */
  calibrations(rows) {
    const used = [...new Set(rows.map((row) => row.calibration_id))].filter((id) => id && id !== 'none');
    if (!rows.length) return '';
    return used.length ? `Calibrated by ${used.join(', ')}; raw where marked.` : 'Raw values of the sensors, not calibrated.';
  }

  /** @param {any[]} rows */
  drawTable(rows) {
    const choice = element('select', { 'aria-label': 'Pollutant' }, ...this.pollutants.map((p) =>
      element('option', { value: p, selected: p === this.pollutant, text: POLLUTANT_TEXT[/** @type {'co'} */ (p)] ?? p })));
    choice.addEventListener('change', async () => {
      this.pollutant = /** @type {any} */ (choice).value;
      await this.load(this.date);
      this.draw(this.now);
    });
    const lines = rows.map((row) => ({ cells: [row.sensor, number(this.value(row), 1),
      this.value(row) === null ? '–' : row.calibrated_hourly_mean === null ? 'raw' : `±${number(row.calibrated_sd === null ? null : 1.645 * row.calibrated_sd, 1)}`,
      `${number(row.completeness_pct, 0)} %`] }));
    byId('air').replaceChildren(
      element('div', { class: 'air-head' }, element('h2', { text: 'Air quality, hourly mean' }), choice),
      element('p', { class: 'small muted', text: this.calibrations(rows) }),
      rows.length
        ? table(null, [{ text: 'Sensor' }, { text: this.unit, number: true }, { text: '90 % interval', number: true }, { text: 'Complete', number: true }], lines)
        : element('p', { class: 'small muted', text: 'No readings in this hour.' }));
  }
}
