/**
 * What a proposal rests on: what is missing, what was observed, parameters and files.
 */
import { element, table } from './dom.js';
import { number } from './overview.js';

const STATUS_ORDER = ['unverified', 'design', 'computed', 'verified'];

/** @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** @param {string} name "free_flow_look_back" */
const words = (name) => capital(name.replaceAll('pm2_5', 'PM2.5').replaceAll('nox', 'NOₓ').replaceAll('_', ' '));

/**
 * @param {any[]} missing
 * @param {Map<string, string>} periods Label by name.
 */
export function lacks(missing, periods) {
  const group = (/** @type {string} */ effect, /** @type {string} */ title) => {
    const items = joined(missing.filter((item) => (item.effect === 'hold') === (effect === 'hold')), periods);
    if (!items.length) return [];
    return [
      element('h3', { class: `lack-head ${effect}` }, element('span', { class: 'mark', 'aria-hidden': 'true' }), title),
      element('ul', { class: 'lacks', 'data-effect': effect }, ...items.map((item) => lack(item, periods))),
    ];
  };
  return element('div', {}, ...group('hold', 'These hold the proposal'), ...group('limits', 'These limit what can be said'));
}

/**
 * Join what is missing in several periods for the same reason, such as "days:am_peak".
 * @param {any[]} items
 * @param {Map<string, string>} periods
 */
function joined(items, periods) {
  /** @type {Map<string, any>} */ const byReason = new Map();
  for (const item of items) {
    const [what, period] = item.what.split(':');
    const reason = period === undefined ? item.what : JSON.stringify([what, item.found, item.required, item.consequence]);
    const before = byReason.get(reason);
    const label = period === undefined ? [] : [periods.get(period) ?? words(period)];
    if (before) before.periods.push(...label);
    else byReason.set(reason, { ...item, what, periods: label });
  }
  return [...byReason.values()];
}

/** @param {string} text @param {Map<string, string>} periods @returns {string} Periods by their labels. */
const labelled = (text, periods) => text.replace(/[a-z_]+/g, (word) => periods.get(word)?.toLowerCase() ?? word);

/** @param {any} item @param {Map<string, string>} periods Label by name. */
function lack(item, periods) {
  const where = item.periods.length ? ` in ${item.periods.join(', ').toLowerCase()}` : '';
  return element('li', {},
    element('div', {}, element('p', { class: 'what', text: `${words(item.what)}${where}` }),
      element('p', { class: 'gap', text: labelled(`${item.found}; required: ${item.required}`, periods) })),
    element('div', {}, element('p', { text: `${capital(item.consequence)}.` }),
      element('p', { class: 'remedy', text: `What to do: ${item.remedy}.` })));
}

/** @param {any} body @returns {Map<string, string>} Label of each period by its name. */
export const periodLabels = (body) => new Map(body.periods.map((/** @type {any} */ p) => [p.period, p.label]));

/** @param {any} body */
export function evidenceTable(body) {
  const labels = periodLabels(body);
  const rows = (body.evidence?.by_period ?? []).map((/** @type {any} */ row) => {
    const name = labels.get(row.period) ?? row.period;
    if (row.withheld) return { cells: [name, '–', '–', '–', '–', '–', `withheld: ${row.withheld}`] };
    if (!row.n_cells) return { cells: [name, '0', '0', '–', '–', '–', 'nothing observed'] };
    const quality = row.quality_counts ?? {};
    const speed = row.space_mean_kmh;
    return { cells: [
      name,
      `${row.n_good_cells} of ${row.n_cells}`,
      String(row.n_days),
      `${row.n_vehicles_is_lower_bound ? 'at least ' : ''}${row.n_vehicles}`,
      speed ? `${number(speed.value, 1)} (${number(speed.low, 1)}–${number(speed.high, 1)})` : '–',
      number(row.free_flow_kmh, 1),
      `A ${quality.A ?? 0} · B ${quality.B ?? 0} · C ${quality.C ?? 0}`] };
  });
  return element('div', { class: 'wide-table scroll' }, table(null, [
    { text: 'Period' }, { text: 'Well-known cells', number: true }, { text: 'Days', number: true },
    { text: 'Vehicles', number: true }, { text: 'Speed, km/h (90 %)', number: true },
    { text: 'Free flow, km/h', number: true }, { text: 'Windows by quality' }], rows));
}

/** @param {any} body @param {import('./clock.js').CityClock} clock */
export function evidenceText(body, clock) {
  const e = body.evidence ?? {};
  const span = e.first_window && e.last_window
    ? `, from ${clock.moment(Date.parse(e.first_window))} to ${clock.moment(Date.parse(e.last_window))}` : '';
  const fleet = e.fleet ? ` Fleet: ${e.fleet.surveyed ? 'surveyed' : 'default'} (${e.fleet.source}).` : '';
  return `${e.n_driven_cells ?? '–'} of ${e.n_cells ?? '–'} cells were driven on ${e.n_days ?? '–'} ${e.n_days === 1 ? 'day' : 'days'}${span}. Free-flow speeds look back ${number(e.free_flow_look_back_days, 1)} days.${fleet}`;
}

/** @param {any[]} parameters */
export function parameterTable(parameters) {
  const rows = [...parameters].sort((a, b) => STATUS_ORDER.indexOf(a.status) - STATUS_ORDER.indexOf(b.status));
  const unverified = rows.filter((p) => p.status === 'unverified').length;
  const holder = element('div', { class: 'scroll' });
  const only = element('input', { type: 'checkbox' });
  const draw = () => {
    const shown = rows.filter((p) => p.status === 'unverified' || !(/** @type {any} */ (only).checked));
    holder.replaceChildren(table(null, [{ text: 'Parameter' }, { text: 'Value', number: true }, { text: 'Unit' }, { text: 'Status' }, { text: 'Source' }],
      shown.map((p) => ({ cells: [words(p.name.replaceAll('.', ' ')), value(p), p.unit ?? '', element('span', { class: `status status-${p.status}`, text: p.status }), p.source ?? ''] }))));
  };
  only.addEventListener('change', draw);
  draw();
  return element('details', { id: 'parameters' },
    element('summary', { text: `${rows.length} parameters, ${unverified} of them unverified` }),
    element('label', { class: 'only' }, only, 'Only unverified ones'), holder);
}

/** @param {any} parameter */
function value(parameter) {
  if (typeof parameter.value !== 'number') return '';
  const spread = parameter.sd ? ` ±${parameter.sd}` : parameter.gsd && parameter.gsd !== 1 ? ` ×/÷${parameter.gsd}` : '';
  return `${parameter.value}${spread}`;
}

/** @param {any} manifest @param {any} proposal */
export function manifestTable(manifest, proposal) {
  const rows = [];
  /** @param {string} name @param {any} content */
  const add = (name, content) => {
    if (content !== null && typeof content === 'object') {
      for (const [key, each] of Object.entries(content)) add(name ? `${name} / ${key}` : key, each);
    } else rows.push({ cells: [words(name), code(String(content ?? 'not there'))] });
  };
  add('', manifest);
  rows.push({ cells: ['Proposal identifier', code(proposal.proposal_id)] });
  return element('details', { id: 'manifest' }, element('summary', { text: 'Manifest: data, files and software that made it' }),
    element('div', { class: 'scroll' }, table(null, [{ text: 'What' }, { text: 'Which' }], rows)));
}

/** @param {string} text */
const code = (text) => element('code', { text });
