/**
 * Title, verdict and state of a proposal, and the decisions taken on it.
 */
import { byId, element, fill } from './dom.js';
import { STATE_TEXT, verdictBadge } from './proposal-card.js';
import { number } from './overview.js';
import { percent, percentRange } from './money.js';

const DECISION_TEXT = { approved: 'Approved', rejected: 'Rejected', published: 'Published', refused_at_publication: 'Refused at publication' };

/** @param {string} decision @param {string} verdict A hold cannot be approved, only acknowledged. */
const decisionText = (decision, verdict) =>
  decision === 'approved' && verdict === 'hold' ? 'Acknowledged' : DECISION_TEXT[/** @type {'approved'} */ (decision)] ?? decision;

/** @param {any} proposal @param {import('./clock.js').CityClock} clock */
export function drawOpening(proposal, clock) {
  const { body } = proposal;
  const holds = new Set((body.missing ?? []).filter((/** @type {any} */ m) => m.effect === 'hold')
    .map((/** @type {any} */ m) => m.what.split(':')[0])).size;
  const lead = proposal.verdict === 'hold'
    ? `${holds === 1 ? 'One kind of evidence' : `${holds} kinds of evidence`} that a price must rest on ${holds === 1 ? 'is' : 'are'} missing. What follows is indicative: it shows where the evidence points, and cannot be published.`
    : 'The evidence is sufficient for a proposal. It takes effect only if a person approves it.';
  const fact = (/** @type {string} */ name, /** @type {string|null} */ text) =>
    text ? element('div', {}, element('dt', { text: name }), element('dd', { text })) : null;
  fill(byId('opening'),
    element('p', { class: 'crumb' }, element('a', { href: '/proposals', text: 'Charge proposals' })),
    element('h1', { text: proposal.zone_name }),
    element('div', { class: 'badges' }, verdictBadge(proposal.verdict),
      element('span', { class: 'badge badge-state', id: 'state', text: STATE_TEXT[/** @type {'held'} */ (proposal.state)] ?? proposal.state })),
    element('p', { class: 'lead', text: lead }),
    element('dl', { class: 'short-facts' },
      fact('Area', body.zone?.area_km2 ? `${number(body.zone.area_km2, 1)} km²` : null),
      fact('Cells', body.zone?.n_cells ? String(body.zone.n_cells) : null),
      fact('Typical crossing', body.zone?.mean_crossing_km ? `${number(body.zone.mean_crossing_km, 1)} km` : null),
      fact('Prices in', proposal.currency ? `${proposal.currency} of ${proposal.price_year}` : null),
      fact('Made', clock.moment(Date.parse(proposal.created_at)))),
    headline(body));
}

/** @param {any} body */
function headline(body) {
  const overall = body.predicted?.overall;
  if (!overall) return null;
  const figure = (/** @type {string} */ name, /** @type {any} */ interval) => interval && element('div', {},
    element('dt', { text: name }),
    element('dd', {}, percent(interval.median), element('small', { text: percentRange(interval.low, interval.high) })));
  return element('section', { class: 'headline', 'aria-label': 'Predicted change in charged hours' },
    element('p', { class: 'small muted' }, 'Predicted in charged hours, with 90 % intervals',
      body.indicative ? element('span', { class: 'indicative', text: 'indicative' }) : null),
    element('dl', {},
      figure('Traffic in the zone', overall.traffic_change_pct),
      figure('NOₓ from traffic', overall.nox_change_pct),
      figure('Mean speed', overall.speed_change_pct)));
}

/** @param {any} proposal @param {import('./clock.js').CityClock} clock @param {string|null} approvalUrl */
export function decisionSteps(proposal, clock, approvalUrl) {
  const taken = proposal.decisions.map((/** @type {any} */ d) => element('li', {},
    element('strong', { text: decisionText(d.decision, proposal.verdict) }),
    element('p', { text: `${clock.moment(Date.parse(d.decided_at))}${d.decided_by ? ` by ${d.decided_by}` : ''}${d.note ? `. ${d.note}` : ''}` })));
  return element('ol', { class: 'steps' },
    element('li', {}, element('strong', { text: 'Proposal made' }),
      element('p', { text: `${clock.moment(Date.parse(proposal.created_at))}, identifier ${proposal.proposal_id}. A proposal is never changed, only superseded.` })),
    ...taken,
    nextStep(proposal, approvalUrl));
}

/** @type {Record<string, [string, string]>} What comes next, by state; after publication nothing does. */
const NEXT = {
  held: ['A person may acknowledge it', 'Too much evidence is missing, so it cannot be published. Acknowledging it records that a person has seen it.'],
  acknowledged: ['New evidence', 'It cannot be published. When the missing evidence is there, build again and propose again.'],
  waiting: ['A person decides', 'Approve or reject it with your own account.'],
  approved: ['Publication', 'Before it is published, prices are checked against their bounds once more.'],
  rejected: ['A new proposal', 'This one will not be published.'],
  refused_at_publication: ['A new proposal', 'It broke a bound when it was checked once more. Correct the cause named above and propose again.'],
};

/** @param {any} proposal @param {string|null} approvalUrl */
function nextStep(proposal, approvalUrl) {
  const next = NEXT[proposal.state];
  if (!next) return null;
  const asked = proposal.state === 'held' || proposal.state === 'waiting';
  return element('li', { class: 'next' }, element('strong', { text: next[0] }),
    element('p', { text: next[1] }), asked ? howToAnswer(approvalUrl) : null);
}

/** @param {string|null} approvalUrl */
const howToAnswer = (approvalUrl) => element('p', { id: 'how-to-answer' },
  'It is answered in Airflow, in the waiting run of charge_proposal',
  approvalUrl ? element('span', {}, ': ', element('a', { href: approvalUrl, rel: 'noreferrer', text: 'open Airflow' })) : null,
  '. If no Airflow runs on this machine, start it with ', element('code', { text: 'make airflow' }),
  '. This page has no accounts and changes nothing.');
