/**
 * The list of proposals, the newest first.
 */
import { read } from './api.js';
import { CityClock } from './clock.js';
import { byId, element } from './dom.js';
import { drawMasthead } from './masthead.js';
import { STATE_TEXT, verdictBadge } from './proposal-card.js';

/** @param {any} proposal @param {CityClock} clock */
const line = (proposal, clock) => element('li', {},
  element('a', { href: `/proposals/${proposal.proposal_id}` },
    element('div', {}, element('strong', { text: proposal.zone_name }),
      element('span', { class: 'small muted', text: `Made ${clock.moment(Date.parse(proposal.created_at))}${proposal.currency ? ` · prices in ${proposal.currency} of ${proposal.price_year}` : ''}` })),
    element('span', { class: 'badge badge-state', text: STATE_TEXT[/** @type {'held'} */ (proposal.state)] ?? proposal.state }),
    verdictBadge(proposal.verdict)));

async function main() {
  const [meta, proposals] = await Promise.all([read('/api/meta'), read('/api/proposals')]);
  drawMasthead(meta);
  const clock = new CityClock(meta.time_zone);
  byId('list').append(proposals.length
    ? element('ul', { class: 'listing' }, ...proposals.map((/** @type {any} */ p) => line(p, clock)))
    : element('p', { class: 'notice', text: 'There is no proposal yet. Make one with: clearway charge propose --zone ZONE.geojson' }));
  document.body.dataset.ready = 'true';
}

main().catch((error) => {
  byId('list').append(element('p', { class: 'notice', role: 'alert', text: error.message }));
  document.body.dataset.ready = 'failed';
  throw error;
});
