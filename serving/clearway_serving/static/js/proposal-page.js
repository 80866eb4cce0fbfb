/**
 * One proposal as a document: verdict, gaps, prices, reasons, effects, evidence, decisions.
 */
import { read } from './api.js';
import { CityMap, readBaseMap } from './city-map.js';
import { CityClock } from './clock.js';
import { byId, element } from './dom.js';
import { drawMasthead } from './masthead.js';
import { Money } from './money.js';
import { effects, totals } from './proposal-effects.js';
import { evidenceTable, evidenceText, lacks, manifestTable, parameterTable, periodLabels } from './proposal-evidence.js';
import { decisionSteps, drawOpening } from './proposal-opening.js';
import { priceTable, rationales } from './proposal-prices.js';

/**
 * @param {string} id
 * @param {string} title
 * @param {string|null} text
 * @param {Array<Node|null>} parts
 * @param {boolean} [indicative]
 */
function section(id, title, text, parts, indicative = false) {
  return element('section', { class: 'section', id, 'aria-labelledby': `${id}-title` },
    element('h2', { id: `${id}-title` }, title, indicative ? element('span', { class: 'indicative', text: 'indicative' }) : null),
    text ? element('p', { text }) : null,
    ...parts.filter((part) => part !== null).map((part) => element('div', { class: 'body' }, part)));
}

/** @param {any} proposal @param {CityClock} clock @param {string|null} approvalUrl */
function sections(proposal, clock, approvalUrl) {
  const { body } = proposal;
  const money = new Money(body.currency, body.minor_digits);
  const unsure = Boolean(body.indicative);
  const missing = body.missing ?? [];
  const reasons = body.prices_stated === false ? null : rationales(body, money);
  return [
    missing.length ? section('missing', 'What is missing', null, [lacks(missing, periodLabels(body))]) : null,
    section('prices', 'Prices', body.prices_stated === false
      ? 'No price is stated: the city pack gives no currency.'
      : `Per kilometre driven in the zone, in ${body.currency} of ${body.price_year}. A typical crossing is ${body.zone?.mean_crossing_km?.toFixed(1) ?? '–'} km.`, [priceTable(body, money)], unsure),
    reasons ? section('reasons', 'Why these prices', 'What one kilometre costs others. The two reasons are kept apart, since one may hold where the other does not. Their scales differ.', [reasons], unsure) : null,
    section('effects', 'What would change', 'Bars are 90 % intervals, marks the median.', [effects(body), totals(body, money)], unsure),
    section('evidence', 'Evidence', evidenceText(body, clock), [evidenceTable(body)]),
    (body.limits ?? []).length ? section('limits', 'What this cannot say', null, [element('ul', { class: 'limits' }, ...body.limits.map((/** @type {string} */ text) => element('li', { text })))]) : null,
    section('decision', 'Decision', null, [decisionSteps(proposal, clock, approvalUrl)]),
    section('sources', 'Parameters and sources', null, [parameterTable(body.parameters ?? []), manifestTable(proposal.manifest ?? {}, proposal)]),
  ].filter((part) => part !== null);
}

/** @param {any} zone GeoJSON geometry, feature or collection. @returns {[number, number, number, number]} */
function boundsOf(zone) {
  /** @type {number[]} */ const lons = [];
  /** @type {number[]} */ const lats = [];
  const walk = (/** @type {any} */ part) => {
    if (Array.isArray(part) && typeof part[0] === 'number') {
      lons.push(part[0]);
      lats.push(part[1]);
    } else if (part && typeof part === 'object') Object.values(part).forEach(walk);
  };
  walk(zone);
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

/** @param {any} proposal @param {import('./city-map.js').BaseMap} base */
async function drawZone(proposal, base) {
  const geometry = proposal.body.zone?.geometry ?? proposal.zone;
  const map = new CityMap(byId('zone-map'), base, boundsOf(geometry));
  await map.ready();
  map.setZone(geometry.type === 'FeatureCollection' || geometry.type === 'Feature' ? geometry : { type: 'Feature', properties: {}, geometry });
  await map.settled();
}

async function main() {
  const id = location.pathname.split('/').pop() ?? '';
  const [meta, proposal, base] = await Promise.all([read('/api/meta'), read(`/api/proposals/${encodeURIComponent(id)}`), readBaseMap()]);
  drawMasthead(meta);
  document.title = `${proposal.zone_name}: charge proposal · Clearway`;
  const clock = new CityClock(meta.time_zone);
  drawOpening(proposal, clock);
  byId('sections').replaceChildren(...sections(proposal, clock, meta.approval_url));
  await drawZone(proposal, base);
  document.body.dataset.ready = 'true';
}

main().catch((error) => {
  byId('proposal').replaceChildren(
    element('h1', { text: 'Charge proposal' }),
    element('p', { class: 'notice', role: 'alert' }, `The proposal cannot be shown: ${error.message}. `,
      element('a', { href: '/proposals', text: 'All proposals' })));
  document.body.dataset.ready = 'failed';
  throw error;
});
