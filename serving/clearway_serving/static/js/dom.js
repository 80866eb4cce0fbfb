/**
 * Building page parts without HTML strings, so that data can never become markup.
 */

/**
 * Make an element.
 * @param {string} tag Name, such as "p"; "svg:path" for a part of a drawing.
 * @param {Record<string, string|number|boolean|null|undefined>} [attributes] "text" sets the text; null leaves one out.
 * @param {...(Node|string|null|undefined)} children
 * @returns {HTMLElement & SVGElement}
 */
export function element(tag, attributes = {}, ...children) {
  const node = tag.startsWith('svg:')
    ? document.createElementNS('http://www.w3.org/2000/svg', tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'text') node.textContent = String(value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(.../** @type {Array<Node|string>} */ (children.filter((child) => child !== null && child !== undefined)));
  return /** @type {HTMLElement & SVGElement} */ (node);
}

/**
 * Put these children in the place of what a node holds; null leaves one out.
 * @param {Element} node
 * @param {...(Node|string|null|undefined)} children
 */
export function fill(node, ...children) {
  node.replaceChildren(.../** @type {Array<Node|string>} */ (children.filter((child) => child !== null && child !== undefined)));
}

/**
 * The element with that id, which the page must have.
 * @param {string} id
 * @returns {HTMLElement & HTMLInputElement & HTMLSelectElement}
 */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no element #${id}`);
  return /** @type {any} */ (node);
}

/**
 * Make a table with a caption for everyone.
 * @param {string|null} caption
 * @param {Array<{text: string, number?: boolean}>} heads
 * @param {Array<{cells: Array<string|Node>, now?: boolean}>} rows
 * @returns {HTMLElement}
 */
export function table(caption, heads, rows) {
  const head = heads.map((h) => element('th', { scope: 'col', class: h.number ? 'num' : null, text: h.text }));
  const body = rows.map((row) => element('tr', { class: row.now ? 'is-now' : null },
    ...row.cells.map((cell, n) => element('td', { class: heads[n].number ? 'num' : null }, cell))));
  return element('table', {},
    caption ? element('caption', { text: caption }) : null,
    element('thead', {}, element('tr', {}, ...head)),
    element('tbody', {}, ...body));
}
