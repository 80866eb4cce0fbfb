/**
 * The map: road lines, H3 cells, hatching, sensors. Cells are coloured by feature state, so a new
 * window repaints without sending geometry again.
 */
import * as maplibregl from '/static/vendor/maplibre-gl/maplibre-gl.mjs';
import { cellToBoundary, cellToLatLng } from '/static/vendor/h3-js/h3-js.mjs';
import { read } from './api.js';
import { element } from './dom.js';
import { HATCH_OF_QUALITY, UNKNOWN_COLOUR, hatch } from './scale.js';

const WATER = '#b5d3e2';
const MARGIN = { top: 62, right: 52, bottom: 30, left: 30 };
const MAJOR = ['motorway', 'motorway_link', 'trunk', 'trunk_link', 'primary', 'primary_link'];
const MIDDLE = ['secondary', 'secondary_link', 'tertiary', 'tertiary_link'];
const roadClass = ['coalesce', ['get', 'class'], ['get', 'highway'], ''];

/**
 * @typedef {Object} BaseMap
 * @property {any} roads GeoJSON lines.
 * @property {any} water GeoJSON lines and polygons.
 * @property {Array<{name: string, lon_deg: number, lat_deg: number}>} areas
 */

/** @returns {Promise<BaseMap>} The city pack's own base map. */
export async function readBaseMap() {
  const [roads, water, areas] = await Promise.all([
    read('/api/base-map/roads'), read('/api/base-map/water'), read('/api/areas')]);
  return { roads, water, areas };
}

/** @param {number} major @param {number} middle @param {number} minor At zoom 12. [px] */
const roadWidth = (major, middle, minor) => ['interpolate', ['exponential', 1.5], ['zoom'],
  10, ['match', roadClass, MAJOR, major * 0.5, MIDDLE, middle * 0.4, minor * 0.25],
  13, ['match', roadClass, MAJOR, major * 1.2, MIDDLE, middle * 1.2, minor],
  16, ['match', roadClass, MAJOR, major * 3.5, MIDDLE, middle * 3.5, minor * 4]];

/** @param {number} level @returns {any} */
const hatchLayer = (level) => ({
  id: `hatch-${level}`,
  type: 'fill',
  source: 'cells',
  paint: {
    'fill-pattern': `hatch-${level}`,
    'fill-opacity': ['case', ['==', ['feature-state', 'hatch'], level], 1, 0],
  },
});

/** Each direction beside the line, on its right; two layers of it, since dashes cannot depend on data. */
const CORRIDOR_OFFSET = ['interpolate', ['linear'], ['zoom'], 11, 2.5, 15, 6];
const CORRIDOR_WIDTH = ['interpolate', ['linear'], ['zoom'], 11, ['case', ['get', 'chosen'], 5, 3], 15, ['case', ['get', 'chosen'], 10, 7]];
const corridorLine = { 'line-offset': CORRIDOR_OFFSET, 'line-width': CORRIDOR_WIDTH };
const corridorLayers = [
  { id: 'corridor-bed', type: 'line', source: 'corridors', layout: { 'line-cap': 'butt', 'line-join': 'round' },
    paint: { 'line-color': ['case', ['get', 'chosen'], '#14222c', '#ffffff'], 'line-offset': CORRIDOR_OFFSET,
      'line-width': ['interpolate', ['linear'], ['zoom'], 11, ['case', ['get', 'chosen'], 8, 5], 15, ['case', ['get', 'chosen'], 14, 10]] } },
  { id: 'corridor-known', type: 'line', source: 'corridors', filter: ['get', 'known'],
    layout: { 'line-join': 'round' }, paint: { 'line-color': ['get', 'colour'], ...corridorLine } },
  { id: 'corridor-unknown', type: 'line', source: 'corridors', filter: ['!', ['get', 'known']],
    layout: { 'line-join': 'round' }, paint: { 'line-color': '#7b8994', 'line-dasharray': [1.6, 1.2], ...corridorLine } },
];

/** @param {BaseMap} base @returns {any} */
const style = (base) => ({
  version: 8,
  sources: {
    roads: { type: 'geojson', data: base.roads },
    water: { type: 'geojson', data: base.water },
    cells: { type: 'geojson', data: { type: 'FeatureCollection', features: [] }, promoteId: 'cell' },
    corridors: { type: 'geojson', data: { type: 'FeatureCollection', features: [] } },
    zone: { type: 'geojson', data: { type: 'FeatureCollection', features: [] } },
  },
  layers: [
    { id: 'ground', type: 'background', paint: { 'background-color': '#eceff0' } },
    { id: 'water', type: 'fill', source: 'water', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': WATER } },
    { id: 'road-bed', type: 'line', source: 'roads', layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: { 'line-color': '#ffffff', 'line-width': roadWidth(4.5, 3, 1.6) } },
    { id: 'cells', type: 'fill', source: 'cells',
      paint: { 'fill-color': ['coalesce', ['feature-state', 'colour'], UNKNOWN_COLOUR],
        'fill-opacity': ['case', ['boolean', ['feature-state', 'known'], false], 0.86, 0.34], 'fill-antialias': false } },
    hatchLayer(1),
    hatchLayer(2),
    { id: 'cell-edge', type: 'line', source: 'cells',
      paint: { 'line-color': '#ffffff', 'line-width': 1, 'line-opacity': 0.75 } },
    { id: 'river', type: 'line', source: 'water', filter: ['==', ['geometry-type'], 'LineString'],
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: { 'line-color': WATER, 'line-width': ['interpolate', ['exponential', 1.6], ['zoom'], 10, 2, 13, 9, 16, 60], 'line-opacity': 0.9 } },
    { id: 'roads', type: 'line', source: 'roads', layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: { 'line-color': '#14222c', 'line-width': roadWidth(1.3, 0.8, 0.35),
        'line-opacity': ['match', roadClass, MAJOR, 0.55, MIDDLE, 0.4, 0.24] } },
    ...corridorLayers,
    { id: 'zone-fill', type: 'fill', source: 'zone', paint: { 'fill-color': '#0b4f67', 'fill-opacity': 0.16 } },
    { id: 'zone-edge', type: 'line', source: 'zone', paint: { 'line-color': '#0b4f67', 'line-width': 2.5 } },
    { id: 'chosen-halo', type: 'line', source: 'cells',
      paint: { 'line-color': '#ffffff', 'line-width': 6, 'line-opacity': ['case', ['boolean', ['feature-state', 'chosen'], false], 1, 0] } },
    { id: 'chosen', type: 'line', source: 'cells',
      paint: { 'line-color': '#14222c', 'line-width': 2.8,
        'line-opacity': ['case', ['any', ['boolean', ['feature-state', 'chosen'], false], ['boolean', ['feature-state', 'pointed'], false]], 1, 0] } },
  ],
});

/**
 * Write area names on the map; a name that would cover an earlier one is left out at that zoom.
 * @param {any} map
 * @param {BaseMap['areas']} areas
 */
function placeNames(map, areas) {
  const labels = areas.map(({ name, lon_deg: lon, lat_deg: lat }) => {
    const label = element('div', { class: 'area-name', 'aria-hidden': 'true', text: name });
    new maplibregl.Marker({ element: label }).setLngLat([lon, lat]).addTo(map);
    return label;
  });
  const declutter = () => {
    /** @type {DOMRect[]} */ const taken = [];
    for (const label of labels) {
      const box = label.getBoundingClientRect();
      const free = !taken.some((other) => box.left < other.right && other.left < box.right
        && box.top < other.bottom && other.top < box.bottom);
      label.classList.toggle('is-covered', !free);
      if (free) taken.push(box);
    }
  };
  map.on('moveend', declutter);
  map.on('resize', declutter);
  map.on('load', declutter);
}

export class CityMap {
  /**
   * @param {HTMLElement} container
   * @param {BaseMap} base
   * @param {[number, number, number, number]} bounds West, south, east, north. [°]
   */
  constructor(container, base, bounds) {
    this.map = new maplibregl.Map({
      container,
      style: style(base),
      bounds,
      fitBoundsOptions: { padding: MARGIN },
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      maxZoom: 17,
      minZoom: 7,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.addControl(new maplibregl.NavigationControl({ showCompass: false }), 'top-right');
    this.map.addControl(new maplibregl.ScaleControl({ maxWidth: 110 }), 'bottom-right');
    this.map.getCanvas().setAttribute('aria-label', 'Map of the city by H3 cell; every value is also in the list of cells');
    /** @type {string[]} */ this.cells = [];
    /** @type {string|null} */ this.chosen = null;
    /** @type {string|null} */ this.pointed = null;
    /** @type {any[]} */ this.markers = [];
    placeNames(this.map, base.areas);
    this.loaded = new Promise((resolve) => { this.map.on('load', resolve); });
  }

  /** Wait until the base map stands and the hatches are known. */
  async ready() {
    await this.loaded;
    for (const level of [1, 2]) {
      if (!this.map.hasImage(`hatch-${level}`)) this.map.addImage(`hatch-${level}`, hatch(level), { pixelRatio: 2 });
    }
  }

  /** @param {(cell: string) => void} pick Called with the cell that was clicked. */
  onPick(pick) {
    this.map.on('click', 'cells', (/** @type {any} */ event) => {
      if (!this.corridorAt(event.point)) pick(event.features[0].properties.cell);
    });
    this.map.on('mouseenter', 'cells', () => { this.map.getCanvas().style.cursor = 'pointer'; });
    this.map.on('mouseleave', 'cells', () => { this.map.getCanvas().style.cursor = ''; });
  }

  /** @param {any} point @returns {any} The corridor drawn there, above the cells. */
  corridorAt(point) {
    return this.map.queryRenderedFeatures(point, { layers: ['corridor-bed'] })[0];
  }

  /** @param {(corridor: number) => void} pick Called with the corridor that was clicked. */
  onPickCorridor(pick) {
    this.map.on('click', 'corridor-bed', (/** @type {any} */ event) => pick(event.features[0].properties.corridor));
    this.map.on('mouseenter', 'corridor-bed', () => { this.map.getCanvas().style.cursor = 'pointer'; });
  }

  /** @param {Array<{corridor: number, line: number[][], colour: string, known: boolean, chosen: boolean}>} corridors */
  setCorridors(corridors) {
    const features = corridors.map(({ line, ...properties }) => ({
      type: 'Feature', properties, geometry: { type: 'LineString', coordinates: line } }));
    this.map.getSource('corridors').setData({ type: 'FeatureCollection', features });
  }

  /** @param {string[]} cells H3 indices; their polygons are made here. */
  setCells(cells) {
    this.cells = cells;
    const features = cells.map((cell) => ({
      type: 'Feature',
      properties: { cell },
      geometry: { type: 'Polygon', coordinates: [cellToBoundary(cell, true)] },
    }));
    this.map.getSource('cells').setData({ type: 'FeatureCollection', features });
  }

  /**
   * Colour the cells by one window; cells without a row become unknown.
   * @param {import('./day.js').Row[]} rows
   * @param {import('./scale.js').Scale} scale
   */
  paint(rows, scale) {
    const known = new Map(rows.map((row) => [this.cells[row.cell], row]));
    for (const cell of this.cells) {
      const row = known.get(cell);
      const value = row ? scale.value(row) : null;
      const state = row && value !== null
        ? { known: true, colour: scale.colours[scale.step(value)], hatch: HATCH_OF_QUALITY[row.quality] }
        : { known: false, colour: UNKNOWN_COLOUR, hatch: 0 };
      this.map.setFeatureState({ source: 'cells', id: cell }, state);
    }
  }

  /** Outline a cell that the reader points at in a list. @param {string|null} cell */
  point(cell) {
    if (this.pointed) this.map.setFeatureState({ source: 'cells', id: this.pointed }, { pointed: false });
    this.pointed = cell;
    if (cell) this.map.setFeatureState({ source: 'cells', id: cell }, { pointed: true });
  }

  /** @param {string|null} cell */
  choose(cell) {
    if (this.chosen) this.map.setFeatureState({ source: 'cells', id: this.chosen }, { chosen: false });
    this.chosen = cell;
    if (!cell) return;
    this.map.setFeatureState({ source: 'cells', id: cell }, { chosen: true });
    const [lat, lon] = cellToLatLng(cell);
    if (!this.map.getBounds().contains([lon, lat])) this.map.easeTo({ center: [lon, lat] });
  }

  /** Show all cells, which is where the reader's interest lies, whatever the service area is. */
  fitCells() {
    const bounds = new maplibregl.LngLatBounds();
    for (const cell of this.cells) {
      const [lat, lon] = cellToLatLng(cell);
      bounds.extend([lon, lat]);
    }
    if (this.cells.length) this.map.fitBounds(bounds, { padding: MARGIN, animate: false });
  }

  /** @param {any} geometry GeoJSON of a charge zone. */
  setZone(geometry) {
    this.map.getSource('zone').setData(geometry);
  }

  /** @param {Array<{element: HTMLElement, lon_deg: number, lat_deg: number}>} sensors */
  setMarkers(sensors) {
    for (const marker of this.markers) marker.remove();
    this.markers = sensors.map((sensor) => new maplibregl.Marker({ element: sensor.element })
      .setLngLat([sensor.lon_deg, sensor.lat_deg]).addTo(this.map));
  }

  /** Wait until the map shows what it was told. */
  settled() {
    return new Promise((resolve) => {
      this.map.once('idle', resolve);
      this.map.triggerRepaint();
    });
  }
}
