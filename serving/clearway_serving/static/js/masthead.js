/**
 * What every page says at its top: city, synthetic or not, internal or not.
 */
import { byId } from './dom.js';

/** @param {any} meta Answer of /api/meta. */
export function drawMasthead(meta) {
  byId('city-name').textContent = meta.city?.name ?? '';
  byId('synthetic').hidden = !meta.city?.synthetic;
  byId('internal').hidden = !meta.internal;
}
