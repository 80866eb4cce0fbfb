/**
 * What the prices would change, with 90 % intervals.
 */
import { element, table } from './dom.js';
import { intervalPlot } from './interval-plot.js';
import { percent, percentRange } from './money.js';

const EFFECTS = /** @type {const} */ ([
  ['traffic_change_pct', 'Traffic', 'Vehicle-kilometres in the zone.'],
  ['nox_change_pct', 'NOₓ', 'Emitted by traffic in the zone.'],
  ['speed_change_pct', 'Speed', 'Mean speed in the zone.'],
]);

const TOTAL_TEXT = { vehicle_km_now: 'Vehicle-kilometres now', vehicle_km_change: 'Change of vehicle-kilometres', nox_change: 'Change of NOₓ', revenue: 'Revenue' };

/** @param {any} body @returns {HTMLElement} */
export function effects(body) {
  const { predicted } = body;
  const labels = new Map(body.periods.map((/** @type {any} */ p) => [p.period, p.label]));
  const parts = (predicted?.by_period ?? []).map((/** @type {any} */ p) => ({ ...p, label: labels.get(p.period) ?? p.period }));
  const whole = predicted?.overall && parts.length > 1 ? [{ ...predicted.overall, label: 'All charged hours', strong: true }] : [];
  const rows = [...whole, ...parts];
  if (!rows.length) {
    return element('p', { class: 'notice', text: sentence(predicted?.by_period_missing ?? 'not available') });
  }
  return element('div', { class: 'triple' }, ...EFFECTS.map(([key, title, text]) =>
    element('section', { class: 'plot-panel', 'data-effect': key }, element('h3', { text: title }), element('p', { text }),
      intervalPlot(rows.filter((row) => row[key]).map((row) => ({ ...row[key], label: row.label, strong: row.strong })), percent, percentRange, title))));
}

/** @param {any} body @param {import('./money.js').Money} money @returns {HTMLElement} */
export function totals(body, money) {
  const weekly = body.predicted?.totals_per_week;
  if (!weekly) {
    return element('p', { class: 'notice', text: `Totals and revenue: ${body.predicted?.totals_missing ?? 'not available'}. A sample of vehicles is not a count.` });
  }
  const shown = (/** @type {string} */ key, /** @type {number} */ value) => (key === 'revenue'
    ? money.text(value, 0)
    : value.toLocaleString('en-GB').replace('-', '−'));
  const lines = Object.keys(TOTAL_TEXT).filter((key) => weekly[key]).map((key) => ({ cells: [
    TOTAL_TEXT[/** @type {'revenue'} */ (key)], shown(key, weekly[key].median),
    `${shown(key, weekly[key].low)} to ${shown(key, weekly[key].high)}`,
    key === 'revenue' ? 'per week' : weekly[key].unit.replace('/', ' per ')] }));
  return element('div', { class: 'wide-table scroll' }, table('In an average week, charged hours together',
    [{ text: 'Quantity' }, { text: 'Median', number: true }, { text: '90 % interval', number: true }, { text: 'Unit' }], lines),
  element('p', { class: 'small muted', text: weekly.revenue_note ? `Revenue is ${weekly.revenue_note}.` : '' }));
}

/** @param {string} text */
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
