/**
 * How values become colours and hatching. The five colours fall evenly in lightness, so that they
 * keep their order for every kind of colour vision and in grey print.
 */
const COLOURS = ['#f6e7b4', '#f2b95a', '#df7838', '#ab3049', '#561744'];

export const UNKNOWN_COLOUR = '#cfd7dc';

/**
 * @typedef {Object} Scale
 * @property {string} title
 * @property {string[]} labels From free to severe.
 * @property {string[]} colours From free to severe.
 * @property {(row: import('./day.js').Row) => number|null} value
 * @property {(value: number) => number} step Class 0 (free) to 4 (severe).
 * @property {(value: number) => string} text
 */

/** @param {number[]} breaks Rising. @returns {(value: number) => number} */
const rising = (breaks) => (value) => breaks.filter((b) => value >= b).length;

/** @type {Record<string, Scale>} */
export const SCALES = {
  tti: {
    title: 'Travel time, times free flow',
    labels: ['under 1.2', '1.2–1.5', '1.5–2', '2–3', 'over 3'],
    colours: COLOURS,
    value: (row) => row.tti,
    step: rising([1.2, 1.5, 2, 3]),
    text: (value) => `${value.toFixed(2)}×`,
  },
  speed: {
    title: 'Mean speed, km/h',
    labels: ['over 40', '30–40', '20–30', '10–20', 'under 10'],
    colours: COLOURS,
    value: (row) => row.space_mean_kmh,
    step: (value) => 4 - rising([10, 20, 30, 40])(value),
    text: (value) => `${value.toFixed(0)} km/h`,
  },
};

/** Hatching by how well a value is known: 0 none, 1 light, 2 heavy. */
export const HATCH_OF_QUALITY = { A: 0, B: 1, C: 2, X: 2 };

export const QUALITY_TEXT = {
  A: 'well known: at least 15 vehicles, standard error up to 10 %',
  B: 'fairly known: at least 5 vehicles, standard error up to 20 %',
  C: 'uncertain: few vehicles or a wide interval',
  X: 'not usable',
};

/**
 * Draw a hatch into a square picture, for the map and for the legend alike.
 * @param {number} level 1 or 2.
 * @param {number} size Side. [px]
 * @returns {ImageData}
 */
export function hatch(level, size = 16) {
  const image = new ImageData(size, size);
  const period = size / level;
  const width = level === 1 ? size / 8 : size / 11;
  const line = (/** @type {number} */ along) =>
    Math.max(0, Math.min(1, width - Math.abs((along % period) - period / 2) + 0.5));
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const cover = level === 1 ? line(x + y) : Math.max(line(x + y), line(x - y + size));
      image.data.set([255, 255, 255, 235 * cover], 4 * (y * size + x));
    }
  }
  return image;
}

/**
 * Paint one legend mark: a colour, hatched as on the map.
 * @param {HTMLCanvasElement} canvas
 * @param {string} colour
 * @param {number} level 0 to 2.
 */
export function paintMark(canvas, colour, level) {
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  pen.fillStyle = colour;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (level === 0) return;
  const tile = document.createElement('canvas');
  tile.width = 16;
  tile.height = 16;
  /** @type {CanvasRenderingContext2D} */ (tile.getContext('2d')).putImageData(hatch(level), 0, 0);
  pen.fillStyle = /** @type {CanvasPattern} */ (pen.createPattern(tile, 'repeat'));
  pen.fillRect(0, 0, canvas.width, canvas.height);
}
