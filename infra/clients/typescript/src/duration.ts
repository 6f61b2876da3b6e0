/** Durations as text. */

/** A whole number with a unit: seconds, minutes, hours or days, such as `15m`. */
export type Duration = `${number}${"s" | "m" | "h" | "d"}`;

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** The seconds of a duration. A number is a number of seconds already. */
export function secondsOf(duration: Duration | number): number {
  if (typeof duration === "number") return duration;
  const match = /^(\d+)([smhd])$/.exec(duration);
  if (!match) throw new TypeError(`"${duration}" must be a whole number and a unit: s, m, h or d.`);
  return Number(match[1]) * SECONDS[match[2] as keyof typeof SECONDS];
}
