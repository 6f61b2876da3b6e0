// Word of changes, whoever makes them.

const AGAIN_MIN = 500;
const AGAIN_MAX = 4_000;

/** @typedef {"connecting" | "live" | "away" | "refused"} State */

/**
 * Follows a user until told to stop, while the page is in view; what ends is begun again.
 * An event stream is read by hand, because the browser's own reader sends no token.
 *
 * @param {string} user
 * @param {{ headers: Record<string, string> }} api
 * @param {{ changed: () => void, is: (state: State) => void }} tell
 * @param {AbortSignal} signal
 */
export async function follow(user, api, { changed, is }, signal) {
  let known = "";
  let isShown = false;
  let again = AGAIN_MIN;
  is("connecting");
  while (!signal.aborted) {
    await inView(signal);
    const hidden = new AbortController();
    const hide = () => document.hidden && hidden.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const path = `/console/changes/${encodeURIComponent(user)}`;
      const response = await fetch(path, { headers: api.headers, signal: AbortSignal.any([signal, hidden.signal]) });
      if (response.status < 500 && !response.ok) {
        is("refused");
        changed();
        return;
      }
      for await (const version of events(response)) {
        again = AGAIN_MIN;
        is("live");
        if (version !== known) changed();
        known = version;
        isShown = true;
      }
    } catch {
      // It broke off; so does every connection at some time.
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
    if (signal.aborted || hidden.signal.aborted) continue;
    is("away");
    if (!isShown) changed(); // and says what is wrong
    isShown = true;
    known = ""; // what was asked meanwhile had no answer
    await new Promise((resolve) => setTimeout(resolve, again));
    again = Math.min(again * 2, AGAIN_MAX);
  }
}

/** @param {AbortSignal} signal */
async function inView(signal) {
  while (document.hidden && !signal.aborted) {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true, signal }));
  }
}

/**
 * What an event stream's events say.
 * @param {Response} response
 */
async function* events(response) {
  if (!response.ok || !response.body) return;
  let text = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (text + value).split("\n\n");
    text = whole.pop() ?? "";
    for (const event of whole) {
      if (event.startsWith("data: ")) yield event.slice("data: ".length);
    }
  }
}
