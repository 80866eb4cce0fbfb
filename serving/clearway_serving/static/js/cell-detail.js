/**
 * One cell in depth: chart, table, sample, method and emissions.
 */
import { byId, element, fill, table } from './dom.js';
import { number } from './overview.js';
import { QUALITY_TEXT } from './scale.js';
import { drawSpeedChart } from './speed-chart.js';

const SOURCE_TEXT = { observed: 'observed in this cell and window', modelled: 'modelled', none: 'none' };
const POLLUTANT_TEXT = { nox: 'NOₓ', pm2_5: 'PM2.5', co2: 'CO₂' };

const METHOD_TEXT = {
  night_p85: '85th percentile of the cell at night',
  own_p85: '85th percentile of all windows of the cell',
  parent_p85: '85th percentile of the surrounding H3 parent',
  city_p85: '85th percentile of the whole city',
};

/** @type {{destroy: () => void}|null} */
let chart = null;

/**
 * @param {any} answer Answer of /api/congestion/cells/….
 * @param {import('./day.js').Day} day
 * @param {number} window
 * @param {import('./clock.js').CityClock} clock
 * @param {() => void} close
 */
export function drawCell(answer, day, window, clock, close) {
  chart?.destroy();
  const rows = rowsOf(answer, day);
  const now = day.windows[window];
  const shown = rows.find((/** @type {any} */ row) => row.window_start === now);
  const back = element('button', { type: 'button', class: 'text-button back', id: 'close-cell' }, '← All figures');
  back.addEventListener('click', close);
  const holder = element('div', { class: 'chart', role: 'img', 'aria-label': `Speed in ${answer.place} over the day with its 90 % interval; the same values are in the table below` });
  fill(byId('view-cell'),
    back,
    element('h2', { class: 'detail-title', text: answer.place }),
    answer.corridor ? element('p', { class: 'small', text: `On ${answer.corridor}` }) : null,
    element('p', { class: 'cell-code', text: `H3 ${answer.h3_cell} · resolution ${answer.resolution}` }),
    figures(shown, clock, now, day.windowMinutes),
    holder,
    element('p', { class: 'chart-key' },
      element('span', { class: 'key-mean', text: 'mean speed, km/h' }),
      element('span', { class: 'key-band', text: '90 % interval' }),
      element('span', { class: 'key-free', text: 'free flow' })),
    facts(shown),
    ...emissions(answer.emissions, now, clock),
    valueTable(rows, now, clock),
  );
  chart = drawSpeedChart(holder, series(rows, day), clock.zone, now);
}

/** @param {any} answer @param {import('./day.js').Day} day */
function rowsOf(answer, day) {
  const { values } = answer;
  const shown = new Set(day.windows);
  const names = Object.keys(values);
  return values.window_start.map((/** @type {number} */ _, /** @type {number} */ n) =>
    Object.fromEntries(names.map((name) => [name, values[name][n]])))
    .filter((/** @type {any} */ row) => row.vehicle_class === 'all' && shown.has(row.window_start));
}

/** @param {any[]} rows @param {import('./day.js').Day} day */
function series(rows, day) {
  const at = new Map(rows.map((row) => [row.window_start, row]));
  const column = (/** @type {string} */ name) => day.windows.map((ms) => at.get(ms)?.[name] ?? null);
  return {
    starts: day.windows,
    mean: column('space_mean_kmh'),
    low: column('interval_low_kmh'),
    high: column('interval_high_kmh'),
    free: column('free_flow_kmh'),
  };
}

/** @param {any} row @param {import('./clock.js').CityClock} clock @param {number} now @param {number} minutes */
function figures(row, clock, now, minutes) {
  const when = clock.span(now, minutes);
  if (!row) {
    return element('p', { class: 'notice small', text: `${when}: unknown. Too few vehicles to publish a value, or none.` });
  }
  return element('dl', { class: 'stats' },
    element('div', {}, element('dt', { text: `Speed, ${when}` }),
      element('dd', {}, `${number(row.space_mean_kmh, 1)} `, element('small', { text: `km/h (${number(row.interval_low_kmh, 0)}–${number(row.interval_high_kmh, 0)})` }))),
    element('div', {}, element('dt', { text: 'Travel time index' }),
      element('dd', {}, row.tti === null ? '–' : `${number(row.tti, 2)}×`, element('small', { text: row.free_flow_kmh === null ? '' : ` (free flow ${number(row.free_flow_kmh, 0)} km/h)` }))));
}

/** @param {any} row */
function facts(row) {
  if (!row) return null;
  const fact = (/** @type {string} */ name, /** @type {string} */ text) => [element('dt', { text: name }), element('dd', { text })];
  return element('dl', { class: 'facts' },
    ...fact('Sample', `at least ${row.n_vehicles} vehicles and ${row.n_pings.toLocaleString('en-GB')} GPS fixes`),
    ...fact('Quality', `${row.quality}, ${QUALITY_TEXT[/** @type {'A'} */ (row.quality)]}`),
    ...fact('Source', SOURCE_TEXT[/** @type {'observed'} */ (row.source_class)] ?? row.source_class),
    ...fact('Free flow', row.free_flow_method ? `${number(row.free_flow_kmh, 1)} km/h, ${METHOD_TEXT[/** @type {'own_p85'} */ (row.free_flow_method)] ?? row.free_flow_method.replaceAll('_', ' ')}` : 'not known'),
    ...fact('Time lost', row.delay_s_per_km === null ? 'not known' : `${number(row.delay_s_per_km, 0)} s per km`));
}

/** @param {any[]} rows @param {number} now @param {import('./clock.js').CityClock} clock */
function emissions(rows, now, clock) {
  const current = rows.filter((row) => row.window_start <= now && now < row.window_start + row.window_minutes * 60_000);
  if (!current.length) return [];
  const lines = current.map((row) => ({ cells: [
    POLLUTANT_TEXT[/** @type {'nox'} */ (row.pollutant)] ?? row.pollutant,
    number(row.emission_gkm, row.emission_gkm < 1 ? 3 : 0),
    `${number(row.interval_low_gkm, row.emission_gkm < 1 ? 3 : 0)}–${number(row.interval_high_gkm, row.emission_gkm < 1 ? 3 : 0)}`] }));
  return [table(`Exhaust of one vehicle at this speed, from ${clock.time(current[0].window_start)}`,
    [{ text: 'Pollutant' }, { text: 'g/km', number: true }, { text: '90 % interval', number: true }], lines)];
}

/** @param {any[]} rows @param {number} now @param {import('./clock.js').CityClock} clock */
function valueTable(rows, now, clock) {
  const lines = rows.map((row) => ({ now: row.window_start === now, cells: [
    clock.time(row.window_start), number(row.space_mean_kmh, 1),
    `${number(row.interval_low_kmh, 1)}–${number(row.interval_high_kmh, 1)}`, number(row.tti, 2), String(row.n_vehicles), row.quality] }));
  return element('div', { class: 'scroll detail-table', tabindex: '0', role: 'region', 'aria-label': 'Values of this cell' },
    table('Published values of the day', [{ text: 'From' }, { text: 'km/h', number: true }, { text: '90 % interval', number: true }, { text: 'Index', number: true }, { text: 'Vehicles', number: true }, { text: 'Q' }], lines));
}
