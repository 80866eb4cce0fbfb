/**
 * Headline figures of the window, and the most congested cells as a list for mouse and keyboard.
 */
import { byId, element, fill } from './dom.js';
import { HATCH_OF_QUALITY, paintMark } from './scale.js';

const LISTED = 6;
const KNOWN = new Set(['A', 'B']);

/** @param {number|null|undefined} value @param {number} digits @returns {string} */
export const number = (value, digits) => (value === null || value === undefined ? '–' : value.toFixed(digits));

/** @param {string} label @param {string} value @param {string} [unit] */
const stat = (label, value, unit = '') => element('div', {},
  element('dt', { text: label }),
  element('dd', {}, value, unit ? element('small', { text: ` ${unit}` }) : null));

/** @param {import('./day.js').Day} day @param {number} window */
export function drawHeadline(day, window) {
  const tti = day.city.tti[window];
  const rows = day.at(window);
  if (tti === null || tti === undefined) {
    byId('headline').replaceChildren(element('h2', { text: 'The city now' }),
      element('p', { class: 'muted', text: 'Nothing is published for this window.' }));
    return;
  }
  const slow = rows.filter((row) => (row.tti ?? 0) >= 2).length;
  const fixes = rows.reduce((sum, row) => sum + row.n_pings, 0);
  fill(byId('headline'),
    element('div', { class: 'hero' },
      element('p', { class: 'hero-value' }, number(tti, 2), element('small', { text: '×' })),
      element('p', { class: 'hero-text', text: `A trip takes ${Math.round(100 * (tti - 1))} % longer than in free flow, over all cells with a published value.` })),
    element('dl', { class: 'stats' },
      stat('Mean speed', number(day.city.space_mean_kmh[window], 1), 'km/h'),
      stat('Cells at twice the free-flow time', String(slow), `of ${rows.length}`),
      stat('Cells with a value', String(rows.length), `of ${day.cells.length}`),
      stat('GPS fixes behind this, at least', fixes.toLocaleString('en-GB'))),
    day.settled ? null : element('p', { class: 'small muted', text: 'Live: this day is not settled for release yet. Late readings may still change it; do not hand it on.' }));
}

/**
 * @param {import('./day.js').Day} day
 * @param {number} window
 * @param {import('./scale.js').Scale} scale
 * @param {(cell: string) => void} pick
 */
export function drawWorst(day, window, scale, pick) {
  const rows = day.at(window).filter((row) => row.tti !== null && KNOWN.has(row.quality))
    .sort((a, b) => (b.tti ?? 0) - (a.tti ?? 0)).slice(0, LISTED);
  if (!rows.length) {
    byId('worst').replaceChildren();
    return;
  }
  byId('worst').replaceChildren(
    element('h2', { text: 'Most congested cells' }),
    element('p', { class: 'small muted', text: 'Of those that are well or fairly known.' }),
    element('ol', { class: 'ranking' }, ...rows.map((row) => element('li', {}, rowButton(day, row, scale, pick)))),
  );
}

/**
 * @param {import('./day.js').Day} day
 * @param {import('./day.js').Row} row
 * @param {import('./scale.js').Scale} scale
 * @param {(cell: string) => void} pick
 */
function rowButton(day, row, scale, pick) {
  const chip = /** @type {any} */ (element('canvas', { class: 'chip-cell', width: 28, height: 28, 'aria-hidden': 'true' }));
  const value = scale.value(row);
  if (value !== null) paintMark(chip, scale.colours[scale.step(value)], HATCH_OF_QUALITY[row.quality]);
  const button = element('button', { type: 'button', class: 'row-button', 'data-cell': day.cells[row.cell] },
    chip,
    element('span', { class: 'row-name', text: day.places[row.cell] }),
    element('span', { class: 'row-value' }, `${number(row.tti, 2)}×`),
    element('span', { class: 'row-detail', text: `${number(row.space_mean_kmh, 0)} km/h (${number(row.interval_low_kmh, 0)}–${number(row.interval_high_kmh, 0)}) · at least ${row.n_vehicles} vehicles` }));
  button.addEventListener('click', () => pick(day.cells[row.cell]));
  return button;
}
