/**
 * The newest charge proposal in short, and the words for its verdict and state.
 */
import { byId, element } from './dom.js';
import { read } from './api.js';

export const VERDICT_TEXT = { propose: 'Propose', hold: 'Hold: not enough evidence' };
export const STATE_TEXT = {
  waiting: 'Waiting for a decision',
  held: 'Held: a person may acknowledge it',
  acknowledged: 'Held and acknowledged',
  approved: 'Approved, not yet published',
  rejected: 'Rejected',
  published: 'Published',
  refused_at_publication: 'Refused at publication',
};

/** @param {'propose'|'hold'} verdict */
export const verdictBadge = (verdict) =>
  element('span', { class: `badge badge-${verdict}`, 'data-verdict': verdict, text: VERDICT_TEXT[verdict] ?? verdict });

export async function drawProposalCard() {
  const [newest] = await read('/api/proposals');
  if (!newest) return;
  byId('proposal').replaceChildren(
    element('a', { class: 'link-card', href: `/proposals/${newest.proposal_id}` },
      element('span', { class: 'overline', text: 'Charge proposal' }),
      element('strong', { text: newest.zone_name }),
      element('span', { class: 'small muted', text: STATE_TEXT[/** @type {'held'} */ (newest.state)] ?? newest.state }),
      element('div', {}, verdictBadge(newest.verdict))));
}
