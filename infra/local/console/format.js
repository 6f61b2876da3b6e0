// Formats numbers and times.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/** @param {number} credits */
export const number = (credits) => whole.format(credits);

/**
 * Credits with their sign.
 * @param {number} credits
 */
export const signed = (credits) => `${["−", "", "+"][Math.sign(credits) + 1]}${whole.format(Math.abs(credits))}`;

/**
 * Credits in a few characters, for an axis.
 * @param {number} credits
 */
export const compact = (credits) => (credits < 10_000 ? whole.format(credits) : short.format(credits));

/** @param {string | number} time */
export const date = (time) => day.format(new Date(time));

/** @param {string | number} time */
export const dateTime = (time) => moment.format(new Date(time));

/**
 * The time if it is today, otherwise the date.
 * @param {string | number} time
 */
export function timeOrDate(time) {
  const value = new Date(time);
  return value.toDateString() === new Date().toDateString() ? clock.format(value) : day.format(value);
}

/**
 * A future time relative to now, such as "in 3 days".
 * @param {number} millis
 */
export function timeUntil(millis) {
  for (const [unit, length] of /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([
    ["year", YEAR],
    ["day", DAY],
    ["hour", HOUR],
    ["minute", MINUTE],
  ])) {
    if (millis >= 2 * length) return relative.format(Math.round(millis / length), unit);
  }
  return relative.format(Math.max(1, Math.ceil(millis / SECOND)), "second");
}

/**
 * A number with its noun in singular or plural.
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
