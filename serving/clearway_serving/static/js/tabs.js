/**
 * Tabs of the panel by the usual keyboard rules: arrows move, one tab stop.
 */
import { byId } from './dom.js';

const NAMES = ['overview', 'cells', 'method'];

/** @param {string|null} name Tab to show; null shows the cell in detail. */
export function showView(name) {
  for (const each of NAMES) {
    const chosen = each === name;
    byId(`tab-${each}`).setAttribute('aria-selected', String(chosen));
    byId(`tab-${each}`).tabIndex = chosen || (name === null && each === NAMES[0]) ? 0 : -1;
    byId(`view-${each}`).hidden = !chosen;
  }
  byId('view-cell').hidden = name !== null;
}

/** @param {(name: string) => void} onShow */
export function startTabs(onShow) {
  NAMES.forEach((name, n) => {
    const tab = byId(`tab-${name}`);
    tab.addEventListener('click', () => { showView(name); onShow(name); });
    tab.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = byId(`tab-${NAMES[(n + step + NAMES.length) % NAMES.length]}`);
      next.focus();
      next.click();
    });
  });
}
