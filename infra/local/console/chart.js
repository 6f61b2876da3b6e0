// The balance over time: what was, up to now, and what runs out ahead.

import { svg } from "./dom.js";
import { at, brief, number, onDay } from "./format.js";

/** @typedef {import("./credits.js").Step} Step */

const HEIGHT = 150;
const TOP = 12;
const BOTTOM = 24;
const LEFT = 4;
const RIGHT = 46;
/** The share of the past where something runs out ahead. */
const PAST = 0.62;
/** The least time that the past takes: a moment is no line. */
const SPAN_MIN = 1_000;
/** The least room that a word takes, from its middle to the next one's. */
const GAP = 46;

/**
 * Draws it into an element as wide as that is.
 *
 * @param {Element} frame
 * @param {{ behind: Step[], ahead: Step[], balance: number, now: number }} story
 */
export function draw(frame, { behind, ahead, balance, now }) {
  const width = Math.max(240, frame.clientWidth);
  const right = width - RIGHT;
  const nowX = ahead.length ? LEFT + (right - LEFT) * PAST : right;
  const most = nice(Math.max(balance, 1, ...behind.map((step) => step.balance)));
  const y = (/** @type {number} */ value) => TOP + (1 - value / most) * (HEIGHT - TOP - BOTTOM);
  const since = Math.min(behind[0]?.at ?? now, now - SPAN_MIN);
  const past = (/** @type {number} */ time) => LEFT + ((Math.min(time, now) - since) / (now - since)) * (nowX - LEFT);
  const slot = (right - nowX) / ahead.length;
  const next = (/** @type {number} */ index) => nowX + slot * (index + 0.7);

  const line = stairs([...behind.map((step) => ({ x: past(step.at), y: y(step.balance) })), { x: nowX, y: y(balance) }]);
  const dashes = stairs([
    { x: nowX, y: y(balance) },
    ...ahead.map((step, index) => ({ x: next(index), y: y(step.balance) })),
    ...(ahead.length ? [{ x: right, y: y(ahead.at(-1)?.balance ?? 0) }] : []),
  ]);
  const base = y(0);
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": inWords({ behind, ahead, balance, now }) },
    ...[0, most / 2, most].map((value) =>
      svg("g", { class: "grid" },
        svg("line", { x1: LEFT, x2: right, y1: y(value), y2: y(value) }),
        svg("text", { x: right + 8, y: y(value) + 4 }, Number.isInteger(value) ? brief(value) : ""))),
    svg("path", { class: "area", d: `${line} V${base} H${behind.length ? past(behind[0]?.at ?? now) : nowX} Z` }),
    svg("path", { class: "line", d: line }),
    ahead.length > 0 && svg("path", { class: "area ahead", d: `${dashes} V${base} H${nowX} Z` }),
    ahead.length > 0 && svg("path", { class: "line ahead", d: dashes }),
    svg("line", { class: "now", x1: nowX, x2: nowX, y1: TOP - 6, y2: base }),
    svg("circle", { class: "now", cx: nowX, cy: y(balance), r: 4 }),
    behind[0] && nowX > 150 && svg("text", { class: "when", x: LEFT, y: HEIGHT - 6 }, sinceWhen(behind[0].at, now)),
    svg("text", { class: "when", x: nowX, y: HEIGHT - 6, "text-anchor": "middle" }, "now"),
    ...withRoom(ahead.map((_, index) => next(index)), nowX).map(({ place, index }) =>
      svg("text", { class: "when", x: place, y: HEIGHT - 6, "text-anchor": "middle" }, shortDay(ahead[index]?.at ?? now, now))),
  );
  frame.replaceChildren(drawing);
}

/**
 * A line of steps; many in one pixel are one.
 * @param {{ x: number, y: number }[]} points
 */
function stairs(points) {
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
 * The next 1, 2 or 5 with zeros behind, so that the half of it can be named too.
 * @param {number} value
 */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 6, 8, 10].find((factor) => value <= factor * power) ?? 10);
}

/**
 * Which of these places have room for a word, behind the one of now.
 *
 * @param {number[]} places
 * @param {number} now
 */
function withRoom(places, now) {
  let last = now;
  return places.flatMap((place, index) => {
    if (place - last < GAP) return [];
    last = place;
    return [{ place, index }];
  });
}

/**
 * @param {number} time
 * @param {number} now
 */
function sinceWhen(time, now) {
  return new Date(time).toDateString() === new Date(now).toDateString()
    ? new Intl.DateTimeFormat("en", { timeStyle: "short", hourCycle: "h23" }).format(time)
    : onDay(time);
}

/**
 * @param {number} time
 * @param {number} now
 */
function shortDay(time, now) {
  if (time - now < 86_400_000) return sinceWhen(time, time);
  const isNear = time - now < 300 * 86_400_000;
  return new Intl.DateTimeFormat("en", isNear ? { day: "numeric", month: "short" } : { month: "short", year: "numeric" }).format(time);
}

/** @param {{ behind: Step[], ahead: Step[], balance: number, now: number }} story */
function inWords({ behind, ahead, balance }) {
  const was = behind[0] ? `${number(behind[0].balance)} on ${at(behind[0].at)}, ` : "";
  const will = ahead.slice(0, 5).map((step) => `${number(step.balance)} from ${onDay(step.at)}`);
  return `Balance over time: ${was}${number(balance)} now${will.length ? `; if nothing is spent, ${will.join(", ")}` : ""}.`;
}
