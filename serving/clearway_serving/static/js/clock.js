/**
 * Instants as the city's clock shows them.
 */
export class CityClock {
  /** @param {string} zone IANA name, such as "Asia/Bangkok". */
  constructor(zone) {
    this.zone = zone;
    const format = (/** @type {Intl.DateTimeFormatOptions} */ options) =>
      new Intl.DateTimeFormat('en-GB', { timeZone: zone, ...options });
    this.formats = {
      time: format({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }),
      day: format({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }),
      moment: format({ day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }),
    };
  }

  /** What people call the zone's clock: the place for named zones. */
  get name() {
    return this.zone === 'UTC' ? 'UTC' : `${this.zone.split('/').pop()?.replaceAll('_', ' ')} time`;
  }

  /** @param {number} ms @returns {string} "07:45" */
  time(ms) { return this.formats.time.format(ms); }

  /** @param {number} ms @param {number} minutes @returns {string} "07:45–08:00" */
  span(ms, minutes) { return `${this.time(ms)}–${this.time(ms + minutes * 60_000)}`; }

  /** @param {number} ms @returns {string} "15 Jan 2026, 07:45" */
  moment(ms) { return this.formats.moment.format(ms); }

  /** @param {string} date "2026-01-15" @returns {string} "Thu, 15 Jan 2026" */
  static day(date) {
    return new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' })
      .format(Date.parse(`${date}T00:00:00Z`));
  }
}
