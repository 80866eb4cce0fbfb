/**
 * The map page: reads, and tells each part what to show.
 */
import { AirLayer } from './air-layer.js';
import { read } from './api.js';
import { drawCell } from './cell-detail.js';
import { drawCells } from './cell-list.js';
import { CityMap, readBaseMap } from './city-map.js';
import { CityClock } from './clock.js';
import { CorridorLayer } from './corridor-layer.js';
import { Day } from './day.js';
import { byId, element } from './dom.js';
import { drawLegend } from './legend.js';
import { drawMasthead } from './masthead.js';
import { drawMethod } from './method-text.js';
import { drawHeadline, drawWorst } from './overview.js';
import { drawProposalCard } from './proposal-card.js';
import { SCALES } from './scale.js';
import { showView, startTabs } from './tabs.js';
import { Timebar } from './timebar.js';

const WORLD = /** @type {[number, number, number, number]} */ ([-20, -40, 60, 60]);

class MapPage {
  /** @param {any} meta @param {import('./city-map.js').BaseMap} base */
  constructor(meta, base) {
    this.meta = meta;
    this.clock = new CityClock(meta.time_zone);
    this.scale = SCALES.tti;
    this.window = 0;
    /** @type {any} */ this.detail = null;
    /** @type {Day|null} */ this.day = null;
    this.map = new CityMap(byId('map'), base, meta.city?.service_area_deg ?? WORLD);
    this.air = new AirLayer(meta, this.map, this.clock);
    this.corridors = new CorridorLayer(meta, this.map, this.clock);
    this.timebar = new Timebar(this.clock, (window) => this.show(window));
    this.product = meta.congestion.products[0];
  }

  async start() {
    await this.map.ready();
    drawLegend(this.scale);
    this.offerProducts();
    this.map.onPick((cell) => this.pick(cell));
    this.corridors.onPick((corridor) => this.showCorridor(corridor));
    startTabs(() => { this.forget(); this.drawPanel(); });
    byId('search').addEventListener('input', () => this.drawPanel());
    byId('measure').addEventListener('change', (event) => this.measure(/** @type {any} */ (event.target).value));
    byId('date').addEventListener('change', () => this.load(byId('date').value));
    for (const [event, done] of [['pointerover', 'pointerout'], ['focusin', 'focusout']]) {
      byId('panel').addEventListener(event, (e) => this.map.point(cellOf(e.target)));
      byId('panel').addEventListener(done, () => this.map.point(null));
    }
    document.addEventListener('keydown', (event) => { if (event.key === 'Escape' && this.detail) this.close(); });
    await Promise.all([this.chooseProduct(this.product), drawProposalCard()]);
  }

  /** Offer a choice of cell size and window where there is one. */
  offerProducts() {
    const { products } = this.meta.congestion;
    const choice = byId('product');
    choice.replaceChildren(...products.map((/** @type {any} */ p, /** @type {number} */ n) =>
      element('option', { value: n, text: `Resolution ${p.resolution}, ${p.window_minutes} min` })));
    choice.hidden = products.length < 2;
    choice.addEventListener('change', () => this.chooseProduct(products[Number(choice.value)]));
  }

  /** @param {any} product One of /api/meta's. */
  async chooseProduct(product) {
    this.close();
    this.product = product;
    this.day = null;
    drawMethod(this.meta, product, this.clock);
    const dates = byId('date');
    const wanted = dates.value;
    dates.replaceChildren(...product.dates.map((/** @type {string} */ date) =>
      element('option', { value: date, text: CityClock.day(date) })));
    dates.value = product.dates.includes(wanted) ? wanted : product.dates.at(-1);
    await this.load(dates.value);
  }

  /** @param {string} date Local day. */
  async load(date) {
    const { resolution, window_minutes } = this.product;
    const [answer] = await Promise.all([
      read('/api/congestion', { date, resolution, window_minutes }), this.air.load(date), this.corridors.load(date)]);
    const before = this.day;
    this.day = new Day(answer);
    if (!before) {
      this.map.setCells(this.day.cells);
      this.map.fitCells();
    }
    this.timebar.setDay(this.day, before ? this.sameTime(before) : this.day.worstWindow);
  }

  /** @param {Day} before @returns {number} The window at the clock time that was shown. */
  sameTime(before) {
    const wanted = this.clock.time(before.windows[this.window]);
    const found = this.day?.windows.findIndex((ms) => this.clock.time(ms) === wanted) ?? -1;
    return found >= 0 ? found : this.day?.worstWindow ?? 0;
  }

  /** @param {number} window */
  show(window) {
    if (!this.day) return;
    this.window = window;
    this.map.paint(this.day.at(window), this.scale);
    this.air.draw(this.day.windows[window]);
    this.corridors.draw(this.day.windows[window]);
    this.drawPanel();
    document.body.dataset.window = String(window);
  }

  drawPanel() {
    if (!this.day) return;
    const pick = (/** @type {string} */ cell) => this.pick(cell, true);
    if (this.detail) drawCell(this.detail, this.day, this.window, this.clock, () => this.close());
    drawHeadline(this.day, this.window);
    drawWorst(this.day, this.window, this.scale, pick);
    if (!byId('view-cells').hidden) drawCells(this.day, this.window, pick);
  }

  /** @param {string} name */
  measure(name) {
    this.scale = SCALES[name];
    drawLegend(this.scale);
    this.show(this.window);
  }

  /** @param {string} cell @param {boolean} [byKeyboard] Whether focus should follow. */
  async pick(cell, byKeyboard = false) {
    this.map.choose(cell);
    const { resolution, window_minutes } = this.product;
    this.detail = await read(`/api/congestion/cells/${cell}`, { resolution, window_minutes });
    showView(null);
    this.drawPanel();
    byId('view-cell').scrollTop = 0;
    if (byKeyboard) byId('close-cell').focus();
  }

  /** @param {number} corridor A line that was clicked: its day is in the overview. */
  showCorridor(corridor) {
    this.close();
    document.querySelector(`[data-corridor="${corridor}"]`)?.scrollIntoView({ block: 'nearest' });
  }

  forget() {
    this.detail = null;
    this.map.choose(null);
  }

  close() {
    const held = this.detail !== null;
    this.forget();
    showView('overview');
    this.drawPanel();
    if (held) byId('tab-overview').focus();
  }
}

/** @param {any} target @returns {string|null} The cell whose button this is, if it is one. */
const cellOf = (target) => target.closest?.('[data-cell]')?.dataset.cell ?? null;

/** @param {string} text What stands between back quotes is a command. */
function note(text) {
  byId('map-note').hidden = false;
  byId('map-note').replaceChildren(...text.split('`').map((part, n) => (n % 2 ? element('code', { text: part }) : part)));
}

async function main() {
  const [meta, base] = await Promise.all([read('/api/meta'), readBaseMap()]);
  drawMasthead(meta);
  document.title = meta.city ? `${meta.city.name}: congestion · Clearway` : document.title;
  const page = new MapPage(meta, base);
  if (meta.congestion.available) {
    await page.start();
    await page.map.settled();
  } else {
    document.body.dataset.empty = 'true';
    note(meta.congestion.reason);
    await page.map.ready();
  }
  document.body.dataset.ready = 'true';
}

main().catch((error) => {
  note(`The map cannot be shown: ${error.message}`);
  document.body.dataset.ready = 'failed';
  throw error;
});
