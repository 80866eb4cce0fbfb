/**
 * Reading the API of this origin; there is no other.
 */

/**
 * @param {string} path
 * @param {Record<string, string|number>} [query]
 * @returns {Promise<any>}
 */
export async function read(path, query = {}) {
  const search = new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)]));
  const answer = await fetch(search.size ? `${path}?${search}` : path, { headers: { Accept: 'application/json' } });
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new Error(typeof body.detail === 'string' ? body.detail : `${path} answered ${answer.status}`);
  }
  return answer.json();
}
