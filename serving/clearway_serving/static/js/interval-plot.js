/**
 * Small interval plots: a bar from the 5th to the 95th percentile, a mark at the median, and the
 * same in figures beside it.
 */
import { element } from './dom.js';

/**
 * @typedef {Object} Interval
 * @property {string} label
 * @property {number} median
 * @property {number} low
 * @property {number} high
 * @property {boolean} [strong] Whether it stands for all the others.
 */

/**
 * @param {Interval[]} rows
 * @param {(value: number) => string} text Value with unit.
 * @param {(low: number, high: number) => string} range Interval with unit.
 * @param {string} caption For readers who do not see the drawing.
 * @returns {HTMLElement}
 */
export function intervalPlot(rows, text, range, caption) {
  const low = Math.min(0, ...rows.map((row) => row.low));
  const high = Math.max(0, ...rows.map((row) => row.high));
  const place = (/** @type {number} */ value) => (100 * (value - low)) / (high - low || 1);
  const lines = rows.map((row) => element('tr', { class: row.strong ? 'strong' : null },
    element('th', { scope: 'row', text: row.label }),
    element('td', { 'aria-hidden': 'true' }, drawing(row, place)),
    element('td', { class: 'plot-value' }, text(row.median),
      element('small', { text: range(row.low, row.high) }))));
  return element('table', { class: 'plot' },
    element('caption', { class: 'visually-hidden', text: `${caption}: median and 90 % interval` }),
    element('tbody', {}, ...lines));
}

/** @param {Interval} row @param {(value: number) => number} place [%] */
function drawing(row, place) {
  const line = (/** @type {string} */ kind, /** @type {number} */ x1, /** @type {number} */ x2, /** @type {number} */ y1, /** @type {number} */ y2) =>
    element('svg:line', { class: kind, x1, x2, y1, y2 });
  const start = place(row.low);
  const end = Math.max(place(row.high), start + 0.8);
  return element('svg:svg', { viewBox: '0 0 100 20', preserveAspectRatio: 'none' },
    line('zero', place(0), place(0), 0, 20),
    line('span', start, end, 10, 10),
    line('median', place(row.median), place(row.median), 3, 17));
}
