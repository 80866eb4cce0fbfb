/**
 * How the figures come about, in the reader's words.
 */
import { byId, element } from './dom.js';

/** @param {string} head @param {...string} paragraphs */
const part = (head, ...paragraphs) => [element('h2', { text: head }), ...paragraphs.map((text) => element('p', { text }))];

/**
 * @param {any} meta Answer of /api/meta.
 * @param {{resolution: number, window_minutes: number, fewest_vehicles: number|null}} product
 * @param {import('./clock.js').CityClock} clock
 */
export function drawMethod(meta, product, clock) {
  const gate = meta.gates.congestion;
  const checked = gate.checked_at
    ? `Version ${gate.shown_version} of the table passed ${gate.n_expectations} checks on ${clock.moment(Date.parse(gate.checked_at))}.`
    : `Version ${gate.shown_version} of the table is shown.`;
  byId('view-method').replaceChildren(
    ...part('What is measured',
      'GPS positions of a sample of vehicles, such as taxis and buses. The pseudonym of a vehicle is made at the gateway, before anything is stored.',
      'Speed is the distance that the sample drove in a cell, divided by the time it took (space-mean speed). Parked and waiting time is left out.',
      'It is a congestion proxy, not a count: how many vehicles there were in all is not known from it.'),
    ...part('Travel time index',
      'Free-flow speed over observed speed, at least 1. Free flow is the 85th percentile of quiet hours, or the method that the cell names.',
      'For the city, each cell counts with its GPS fixes, which stand for the time that vehicles spent there.'),
    ...(meta.corridors.available ? part('Corridors',
      'A vehicle counts where it moved along the line in its direction; crossing traffic and the other direction do not. Minutes are the sum of the segments, at the pace of all vehicles on each.',
      'Where less than 80 % of the length was observed there is no value: a dashed line.') : []),
    ...part('How well is it known?',
      'Every speed has a 90 % interval from the differences between vehicles. Hatching shows what is less certain: the more white, the wider the interval or the fewer the vehicles.',
      'Grey cells are unknown: nobody was seen, or too few vehicles to publish. Grey never means free flow.'),
    ...part('What is withheld',
      meta.internal
        ? 'Nothing: this is the internal view.'
        : `Values with too few different vehicles or operators, values that one vehicle dominates, and further cells that would give those away by subtraction. The smallest published sample is ${product.fewest_vehicles ?? '–'} vehicles.`),
    ...part('Where it comes from',
      `${checked} H3 cells of resolution ${product.resolution}, windows of ${product.window_minutes} minutes, ${clock.name}. Clearway ${meta.software_version}.`),
  );
  const missing = Object.entries(meta.city?.missing ?? {});
  if (missing.length) {
    byId('view-method').append(element('h2', { text: 'What the city pack lacks' }),
      element('ul', {}, ...missing.map(([file, consequence]) => element('li', { text: `${file}: ${consequence}` }))));
  }
}
