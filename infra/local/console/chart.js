// Draws the balance over time: the past, and future expiries.

import { svg } from "./dom.js";
import { compact, date, dateTime, number } from "./format.js";

/** @typedef {import("./credits.js").Step} Step */

const HEIGHT = 150;
const TOP = 12;
const BOTTOM = 24;
const LEFT = 4;
const RIGHT = 46;
/** Share of the width for the past, if any pack will expire. */
const PAST_SHARE = 0.62;
/** Minimum length of the past, in milliseconds: a line needs two points. */
const PAST_MIN = 1_000;
/** Minimum distance between the centres of two labels, in pixels. */
const LABEL_DISTANCE = 46;

/**
 * Draws the chart as wide as its element.
 *
 * @param {Element} frame
 * @param {{ past: Step[], future: Step[], balance: number, now: number }} data
 */
export function draw(frame, { past, future, balance, now }) {
  const width = Math.max(240, frame.clientWidth);
  const right = width - RIGHT;
  const nowX = future.length ? LEFT + (right - LEFT) * PAST_SHARE : right;
  const limit = axisLimit(Math.max(balance, 1, ...past.map((step) => step.balance)));
  const y = (/** @type {number} */ value) => TOP + (1 - value / limit) * (HEIGHT - TOP - BOTTOM);
  const start = Math.min(past[0]?.at ?? now, now - PAST_MIN);
  const pastX = (/** @type {number} */ time) => LEFT + ((Math.min(time, now) - start) / (now - start)) * (nowX - LEFT);
  const slot = (right - nowX) / future.length;
  const futureX = (/** @type {number} */ index) => nowX + slot * (index + 0.7);

  const line = stepPath([...past.map((step) => ({ x: pastX(step.at), y: y(step.balance) })), { x: nowX, y: y(balance) }]);
  const futureLine = stepPath([
    { x: nowX, y: y(balance) },
    ...future.map((step, index) => ({ x: futureX(index), y: y(step.balance) })),
    ...(future.length ? [{ x: right, y: y(future.at(-1)?.balance ?? 0) }] : []),
  ]);
  const base = y(0);
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": description({ past, future, balance, now }) },
    ...[0, limit / 2, limit].map((value) =>
      svg("g", { class: "grid" },
        svg("line", { x1: LEFT, x2: right, y1: y(value), y2: y(value) }),
        svg("text", { x: right + 8, y: y(value) + 4 }, Number.isInteger(value) ? compact(value) : ""))),
    svg("path", { class: "area", d: `${line} V${base} H${past.length ? pastX(past[0]?.at ?? now) : nowX} Z` }),
    svg("path", { class: "line", d: line }),
    future.length > 0 && svg("path", { class: "area future", d: `${futureLine} V${base} H${nowX} Z` }),
    future.length > 0 && svg("path", { class: "line future", d: futureLine }),
    svg("line", { class: "now", x1: nowX, x2: nowX, y1: TOP - 6, y2: base }),
    svg("circle", { class: "now", cx: nowX, cy: y(balance), r: 4 }),
    past[0] && nowX > 150 && svg("text", { class: "when", x: LEFT, y: HEIGHT - 6 }, dateOrTimeToday(past[0].at, now)),
    svg("text", { class: "when", x: nowX, y: HEIGHT - 6, "text-anchor": "middle" }, "now"),
    ...labelPositions(future.map((_, index) => futureX(index)), nowX).map(({ position, index }) =>
      svg("text", { class: "when", x: position, y: HEIGHT - 6, "text-anchor": "middle" }, shortDate(future[index]?.at ?? now, now))),
  );
  frame.replaceChildren(drawing);
}

/**
 * The path of a step line. Merges the steps in one half pixel.
 * @param {{ x: number, y: number }[]} points
 */
function stepPath(points) {
  let path = "";
  let column = NaN;
  for (const [index, { x, y }] of points.entries()) {
    if (!path) path = `M${x.toFixed(1)} ${y.toFixed(1)}`;
    else if (Math.round(x * 2) !== column || index === points.length - 1) path += `H${x.toFixed(1)}V${y.toFixed(1)}`;
    else path += `V${y.toFixed(1)}`;
    column = Math.round(x * 2);
  }
  return path;
}

/**
 * Rounds up to an axis limit whose half is a short number too.
 * @param {number} value
 */
function axisLimit(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 6, 8, 10].find((factor) => value <= factor * power) ?? 10);
}

/**
 * Selects the positions that have room for a label to the right of "now".
 *
 * @param {number[]} positions
 * @param {number} now
 */
function labelPositions(positions, now) {
  let last = now;
  return positions.flatMap((position, index) => {
    if (position - last < LABEL_DISTANCE) return [];
    last = position;
    return [{ position, index }];
  });
}

/**
 * @param {number} time
 * @param {number} now
 */
function dateOrTimeToday(time, now) {
  return new Date(time).toDateString() === new Date(now).toDateString()
    ? new Intl.DateTimeFormat("en", { timeStyle: "short", hourCycle: "h23" }).format(time)
    : date(time);
}

/**
 * @param {number} time
 * @param {number} now
 */
function shortDate(time, now) {
  if (time - now < 86_400_000) return dateOrTimeToday(time, time);
  const isNear = time - now < 300 * 86_400_000;
  return new Intl.DateTimeFormat("en", isNear ? { day: "numeric", month: "short" } : { month: "short", year: "numeric" }).format(time);
}

/** @param {{ past: Step[], future: Step[], balance: number, now: number }} data */
function description({ past, future, balance }) {
  const first = past[0] ? `${number(past[0].balance)} on ${dateTime(past[0].at)}, ` : "";
  const expiries = future.slice(0, 5).map((step) => `${number(step.balance)} from ${date(step.at)}`);
  return `Balance over time: ${first}${number(balance)} now${expiries.length ? `; if nothing is spent, ${expiries.join(", ")}` : ""}.`;
}
