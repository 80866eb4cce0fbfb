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
  text(amount, digits = Math.round(Math.log10(this.minor))) {
    const number = new Intl.NumberFormat('en-GB', { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return `${this.currency ? `${this.currency} ` : ''}${number.format(amount / this.minor)}`.replace('-', '−');
  }
}

/** @param {number} value @returns {string} "−12 %" */
export const percent = (value) => `${value > 0 ? '+' : ''}${Number(value.toPrecision(2))} %`.replace('-', '−');
