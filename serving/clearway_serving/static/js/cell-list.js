/**
 * Every published value of the window as a table: the map for those who cannot use the map.
 */
import { byId, element, table } from './dom.js';
import { number } from './overview.js';

/**
 * @param {import('./day.js').Day} day
 * @param {number} window
 * @param {(cell: string) => void} pick
 */
export function drawCells(day, window, pick) {
  const wanted = byId('search').value.trim().toLowerCase();
  const rows = day.at(window)
    .filter((row) => !wanted || day.places[row.cell].toLowerCase().includes(wanted) || day.corridors[row.cell]?.toLowerCase().includes(wanted) || day.cells[row.cell].startsWith(wanted))
    .sort((a, b) => (b.tti ?? 0) - (a.tti ?? 0));
  if (!rows.length) {
    byId('cell-table').replaceChildren(element('p', { class: 'muted', text: wanted ? 'No cell matches.' : 'Nothing is published for this window.' }));
    return;
  }
  const lines = rows.map((row) => {
    const cell = day.cells[row.cell];
    const button = element('button', { type: 'button', class: 'text-button', 'data-cell': cell, text: day.places[row.cell] });
    button.addEventListener('click', () => pick(cell));
    const corridor = day.corridors[row.cell];
    const name = element('div', {}, button, corridor ? element('div', { class: 'small muted', text: corridor }) : null, element('div', { class: 'cell-code', text: cell }));
    return { cells: [name, number(row.tti, 2), number(row.space_mean_kmh, 0), `${number(row.interval_low_kmh, 0)}–${number(row.interval_high_kmh, 0)}`, String(row.n_vehicles), row.quality] };
  });
  byId('cell-table').replaceChildren(table(
    `${rows.length} cells, slowest first`,
    [{ text: 'Cell' }, { text: 'Index', number: true }, { text: 'km/h', number: true }, { text: '90 %', number: true }, { text: 'Veh.', number: true }, { text: 'Q' }],
    lines,
  ));
}
