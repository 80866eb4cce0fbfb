/**
 * What colours and hatching mean.
 */
import { byId, element } from './dom.js';
import { UNKNOWN_COLOUR, paintMark } from './scale.js';

/** @param {string} colour @param {number} level */
function mark(colour, level) {
  const canvas = /** @type {any} */ (element('canvas', { width: 44, height: 28, 'aria-hidden': 'true' }));
  paintMark(canvas, colour, level);
  return canvas;
}

/** @param {import('./scale.js').Scale} scale */
export function drawLegend(scale) {
  const swatches = scale.colours.map((colour) => {
    const swatch = element('div', { class: 'swatch', 'aria-hidden': 'true' });
    swatch.style.background = colour;
    return swatch;
  });
  const labels = scale.labels.map((text) => element('div', { class: 'scale-label', text }));
  byId('legend').replaceChildren(
    element('div', { class: 'measure' },
      element('h2', { text: scale.title }),
      element('div', { class: 'scale' }, ...swatches, ...labels)),
    element('div', { class: 'marks' },
      mark(scale.colours[2], 0), element('span', { text: 'well known' }),
      mark(scale.colours[2], 1), element('span', { text: 'fairly known' }),
      mark(scale.colours[2], 2), element('span', { text: 'uncertain' }),
      mark(UNKNOWN_COLOUR, 0), element('span', { text: 'unknown or withheld' })),
  );
}
