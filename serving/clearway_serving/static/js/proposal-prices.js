/**
 * Prices by class and period, and the two reasons for them side by side.
 */
import { element } from './dom.js';
import { intervalPlot } from './interval-plot.js';

const BOUND_TEXT = { cap: 'capped', step: 'step limited', ratio: 'kept in ratio to cars', rounding: 'rounded', floor: 'at least 0' };
const DAYS_TEXT = { working: 'working days', free: 'free days', all: 'every day' };

/** @param {any} period @returns {HTMLElement} Its name, days and hours. */
function periodHead(period) {
  const hour = (/** @type {number} */ h) => `${String(h).padStart(2, '0')}:00`;
  const hours = period.start_hour_local === undefined ? '' : `${hour(period.start_hour_local)}–${hour(period.end_hour_local)}`;
  return element('th', { scope: 'col', class: 'num' }, period.label,
    element('small', { text: DAYS_TEXT[/** @type {'all'} */ (period.days)] ?? period.days }),
    element('small', { text: hours }));
}

/** @param {any} body @param {import('./money.js').Money} money */
export function priceTable(body, money) {
  const at = new Map(body.prices.map((/** @type {any} */ p) => [`${p.period} ${p.charge_class}`, p]));
  const rows = body.classes.map((/** @type {any} */ c) => element('tr', {},
    element('th', { scope: 'row' }, c.label, element('small', { text: `${Math.round(100 * c.share_of_vehicle_km)} % of vehicle-km` })),
    ...body.periods.map((/** @type {any} */ p) => priceCell(at.get(`${p.period} ${c.charge_class}`), money))));
  return element('div', { class: 'scroll' }, element('table', { class: 'prices' },
    element('caption', { class: 'visually-hidden', text: 'Price per kilometre by class and period' }),
    element('thead', {}, element('tr', {}, element('th', { scope: 'col', text: 'Class of vehicle' }), ...body.periods.map(periodHead))),
    element('tbody', {}, ...rows)));
}

/** @param {any} price @param {import('./money.js').Money} money */
function priceCell(price, money) {
  if (price?.exempt) return element('td', { class: 'num none', text: 'exempt' });
  const amount = price?.price_minor_per_km;
  if (amount === null || amount === undefined) return element('td', { class: 'num none', text: 'not stated' });
  if (amount === 0) return element('td', { class: 'num none', text: 'no charge' });
  const crossing = price.typical_crossing_minor;
  const bounds = (price.bounded_by ?? []).map((/** @type {'cap'} */ b) => BOUND_TEXT[b] ?? b.replaceAll('_', ' ')).join(', ');
  return element('td', { class: 'num' }, money.text(amount),
    element('small', { text: crossing === null || crossing === undefined ? '' : `${money.plain(crossing)} per crossing` }),
    bounds ? element('small', { text: bounds }) : null);
}

/**
 * @param {any} body
 * @param {import('./money.js').Money} money
 * @returns {HTMLElement|null} Null where no price was derived.
 */
export function rationales(body, money) {
  const reasoned = body.prices.filter((/** @type {any} */ p) => p.rationale);
  if (!reasoned.length) return null;
  const periods = body.periods.filter((/** @type {any} */ p) => reasoned.some((/** @type {any} */ r) => r.period === p.period));
  const dearest = reasoned.reduce((/** @type {any} */ a, /** @type {any} */ b) => (b.price_minor_per_km > a.price_minor_per_km ? b : a)).period;
  const panels = element('div', { class: 'pair' });
  const draw = (/** @type {string} */ period) => panels.replaceChildren(
    ...reasonPanels(body, reasoned.filter((/** @type {any} */ r) => r.period === period), money));
  if (periods.length === 1) {
    draw(dearest);
    return element('div', {}, element('h3', { class: 'only-period', text: periods[0].label }), panels);
  }
  const chooser = element('fieldset', { class: 'chooser' },
    element('legend', { class: 'visually-hidden', text: 'Period' }),
    ...periods.map((/** @type {any} */ p) => element('label', {},
      element('input', { type: 'radio', name: 'reason-period', value: p.period, checked: p.period === dearest }),
      element('span', { text: p.label }))));
  chooser.addEventListener('change', (event) => draw(/** @type {any} */ (event.target).value));
  draw(dearest);
  return element('div', {}, chooser, panels);
}

/** @param {any} body @param {any[]} prices @param {import('./money.js').Money} money */
function reasonPanels(body, prices, money) {
  const labels = new Map(body.classes.map((/** @type {any} */ c) => [c.charge_class, c.label]));
  const panel = (/** @type {string} */ part, /** @type {string} */ title, /** @type {string} */ text) => {
    const rows = prices.filter((p) => p.rationale[part]).map((p) => ({
      label: `${labels.get(p.charge_class) ?? p.charge_class}${p.exempt ? ' (exempt)' : ''}`,
      median: p.rationale[part].median_minor_per_km,
      low: p.rationale[part].low_minor_per_km,
      high: p.rationale[part].high_minor_per_km,
    }));
    return element('section', { class: 'plot-panel', 'data-rationale': part }, element('h3', { text: title }), element('p', { text }),
      intervalPlot(rows, (value) => `${money.currency} ${money.precise(value)}`, (low, high) => `${money.precise(low)} to ${money.precise(high)}`, title));
  };
  return [
    panel('congestion', 'Congestion', 'Time that one more kilometre costs all others, per km.'),
    panel('environment', 'Environment', 'Damage by NOₓ and fine particles, per km.'),
  ];
}
