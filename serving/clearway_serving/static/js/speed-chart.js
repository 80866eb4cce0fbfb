/**
 * Speed over the day with its interval as a band and free flow as a dashed line.
 */
import uPlot from '/static/vendor/uplot/uplot.mjs';

const HEIGHT = 190;

/**
 * @param {HTMLElement} container
 * @param {Object} series
 * @param {number[]} series.starts Window starts. [ms]
 * @param {Array<number|null>} series.mean
 * @param {Array<number|null>} series.low
 * @param {Array<number|null>} series.high
 * @param {Array<number|null>} series.free
 * @param {string} zone IANA time zone of the axis.
 * @param {number} now Start of the window that the page shows. [ms]
 * @returns {{destroy: () => void}}
 */
export function drawSpeedChart(container, series, zone, now) {
  const axis = { stroke: '#495965', font: '12px "Inter Variable", sans-serif', ticks: { stroke: '#c3ccd2', width: 1, size: 4 }, grid: { stroke: '#e8ecef', width: 1 } };
  const hidden = { stroke: 'transparent', points: { show: false } };
  return new uPlot({
    width: Math.max(260, container.clientWidth),
    height: HEIGHT,
    padding: [8, 10, 0, 0],
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    tzDate: (/** @type {number} */ s) => uPlot.tzDate(new Date(s * 1000), zone),
    scales: { y: { range: (/** @type {any} */ _u, /** @type {number} */ _low, /** @type {number} */ high) => [0, Math.max(20, high * 1.08)] } },
    series: [
      {},
      { ...hidden, label: 'high' },
      { ...hidden, label: 'low' },
      { label: 'free flow', stroke: '#7b8994', width: 1.5, dash: [5, 4], points: { show: false }, spanGaps: true },
      { label: 'mean', stroke: '#0b4f67', width: 2.5, points: { show: false } },
    ],
    bands: [{ series: [1, 2], fill: 'rgba(11, 79, 103, .22)' }],
    axes: [
      { ...axis, size: 30, space: 52, values: (/** @type {any} */ _u, /** @type {number[]} */ at) => at.map((s) => new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(s * 1000)) },
      { ...axis, size: 34, space: 36 },
    ],
    hooks: { draw: [(/** @type {any} */ plot) => markNow(plot, now)] },
  }, [series.starts.map((ms) => ms / 1000), series.high, series.low, series.free, series.mean], container);
}

/** @param {any} plot @param {number} now [ms] */
function markNow(plot, now) {
  const x = Math.round(plot.valToPos(now / 1000, 'x', true)) + 0.5;
  const { left, top, width, height } = plot.bbox;
  if (x < left || x > left + width) return;
  plot.ctx.save();
  plot.ctx.strokeStyle = '#14222c';
  plot.ctx.lineWidth = window.devicePixelRatio;
  plot.ctx.beginPath();
  plot.ctx.moveTo(x, top);
  plot.ctx.lineTo(x, top + height);
  plot.ctx.stroke();
  plot.ctx.restore();
}
