/**
 * The time slider over the day's profile of the city index, with play and step keys.
 */
import { byId, element } from './dom.js';

const STEP_MS = 650;
const LOW = 1;

export class Timebar {
  /**
   * @param {import('./clock.js').CityClock} clock
   * @param {(window: number) => void} onChange
   */
  constructor(clock, onChange) {
    this.clock = clock;
    this.onChange = onChange;
    /** @type {import('./day.js').Day|null} */ this.day = null;
    /** @type {number|undefined} */ this.timer = undefined;
    this.slider = byId('time');
    this.slider.addEventListener('input', () => { this.stop(); this.go(Number(this.slider.value)); });
    byId('step-back').addEventListener('click', () => { this.stop(); this.go(this.window - 1); });
    byId('step-on').addEventListener('click', () => { this.stop(); this.go(this.window + 1); });
    byId('play').addEventListener('click', () => (this.timer === undefined ? this.play() : this.stop()));
  }

  get window() { return Number(this.slider.value); }

  /** @param {import('./day.js').Day} day @param {number} window Where to begin. */
  setDay(day, window) {
    this.day = day;
    this.slider.max = String(Math.max(0, day.windows.length - 1));
    this.drawProfile();
    this.drawHours();
    this.go(window);
  }

  /** @param {number} window */
  go(window) {
    if (!this.day || !this.day.windows.length) return;
    const last = this.day.windows.length - 1;
    const next = Math.min(last, Math.max(0, window));
    this.slider.value = String(next);
    const text = this.clock.span(this.day.windows[next], this.day.windowMinutes);
    byId('now-time').textContent = text;
    this.slider.setAttribute('aria-valuetext', text);
    byId('past')?.setAttribute('width', String((next + 0.5) / (last + 1)));
    this.onChange(next);
  }

  play() {
    if (this.day && this.window >= this.day.windows.length - 1) this.go(0);
    this.setPlaying(true);
    this.timer = window.setInterval(() => {
      if (!this.day || this.window >= this.day.windows.length - 1) this.stop();
      else this.go(this.window + 1);
    }, STEP_MS);
  }

  stop() {
    window.clearInterval(this.timer);
    this.timer = undefined;
    this.setPlaying(false);
  }

  /** @param {boolean} playing */
  setPlaying(playing) {
    byId('play').setAttribute('aria-pressed', String(playing));
    byId('play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
  }

  drawProfile() {
    const index = /** @type {Array<number|null>} */ (this.day?.city.tti ?? []);
    const high = Math.max(1.3, ...index.map((v) => v ?? LOW));
    const width = 1 / Math.max(1, index.length);
    const path = index.map((value, n) => {
      const top = 1 - 0.92 * Math.max(0.03, ((value ?? LOW) - LOW) / (high - LOW));
      return value === null ? '' : `M${n * width} 1V${top}H${(n + 0.86) * width}V1z`;
    }).join('');
    const svg = byId('profile');
    svg.setAttribute('viewBox', '0 0 1 1');
    svg.replaceChildren(
      element('svg:clipPath', { id: 'past-clip' }, element('svg:rect', { id: 'past', x: 0, y: 0, width: 0, height: 1 })),
      element('svg:path', { class: 'profile-area', d: path }),
      element('svg:path', { class: 'profile-past', d: path, 'clip-path': 'url(#past-clip)' }),
    );
  }

  drawHours() {
    const windows = this.day?.windows ?? [];
    const whole = windows.map((ms, n) => ({ text: this.clock.time(ms), n })).filter((w) => w.text.endsWith(':00'));
    const every = Math.max(1, Math.ceil(whole.length / 9));
    byId('hours').replaceChildren(...whole.filter((_, n) => n % every === 0).map(({ text, n }) => {
      const label = element('span', { text });
      label.style.left = `${(100 * (n + 0.5)) / windows.length}%`;
      return label;
    }));
  }
}
