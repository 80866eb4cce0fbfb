/**
 * Amounts of a proposal, which are whole minor units of its currency.
 */
export class Money {
  /** @param {string|null} currency ISO 4217. @param {number|null} minorDigits */
  constructor(currency, minorDigits) {
    this.currency = currency;
    this.minor = 10 ** (minorDigits ?? 2);
  }

  /** @param {number} amount In minor units. @param {number} [digits] @returns {string} "THB 12.50" */
  text(amount, digits = this.digits) {
    return `${this.currency ? `${this.currency} ` : ''}${this.plain(amount, digits)}`;
  }

  /** @param {number} amount In minor units. @param {number} [digits] @returns {string} "12.50" */
  plain(amount, digits = this.digits) {
    const number = new Intl.NumberFormat('en-GB', { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return number.format(amount / this.minor).replace('-', '−');
  }

  /** @param {number} amount In minor units. @returns {string} "0.0024", two significant digits. */
  precise(amount) {
    return new Intl.NumberFormat('en-GB', { minimumSignificantDigits: 2, maximumSignificantDigits: 2 }).format(amount / this.minor).replace('-', '−');
  }

  get digits() { return Math.round(Math.log10(this.minor)); }
}

/** @param {number} value @returns {string} "−12", "+1.1" */
const signed = (value) => `${value > 0 ? '+' : ''}${value.toFixed(Math.abs(value) < 10 ? 1 : 0)}`.replace('-', '−');

/** @param {number} value @returns {string} "−12 %" */
export const percent = (value) => `${signed(value)} %`;

/** @param {number} low @param {number} high @returns {string} "−12 to −3 %" */
export const percentRange = (low, high) => `${signed(low)} to ${signed(high)} %`;
