// Follows the stream of a user's changes.

const RETRY_DELAY_MIN = 500;
const RETRY_DELAY_MAX = 4_000;

/** @typedef {"connecting" | "live" | "offline" | "denied"} State */

/**
 * Follows a user until `signal` aborts, and only while the page is visible. Reconnects when the
 * stream ends. `EventSource` cannot send a token, so this reads the stream itself.
 *
 * @param {string} user
 * @param {{ headers: Record<string, string> }} api
 * @param {{ onChange: () => void, onState: (state: State) => void }} handlers
 * @param {AbortSignal} signal
 */
export async function follow(user, api, { onChange, onState }, signal) {
  let lastVersion = "";
  let hasNotified = false;
  let retryDelay = RETRY_DELAY_MIN;
  onState("connecting");
  while (!signal.aborted) {
    await untilVisible(signal);
    const hidden = new AbortController();
    const hide = () => document.hidden && hidden.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const path = `/console/changes/${encodeURIComponent(user)}`;
      const response = await fetch(path, { headers: api.headers, signal: AbortSignal.any([signal, hidden.signal]) });
      if (response.status < 500 && !response.ok) {
        onState("denied");
        onChange();
        return;
      }
      for await (const version of events(response)) {
        retryDelay = RETRY_DELAY_MIN;
        onState("live");
        if (version !== lastVersion) onChange();
        lastVersion = version;
        hasNotified = true;
      }
    } catch {
      // The connection failed. The loop reconnects.
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
    if (signal.aborted || hidden.signal.aborted) continue;
    onState("offline");
    if (!hasNotified) onChange(); // its reads fail, and the page shows the error
    hasNotified = true;
    lastVersion = ""; // reads since then may have failed: notify after reconnecting
    await new Promise((resolve) => setTimeout(resolve, retryDelay));
    retryDelay = Math.min(retryDelay * 2, RETRY_DELAY_MAX);
  }
}

/** @param {AbortSignal} signal */
async function untilVisible(signal) {
  while (document.hidden && !signal.aborted) {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true, signal }));
  }
}

/**
 * The data of each event.
 * @param {Response} response
 */
async function* events(response) {
  if (!response.ok || !response.body) return;
  let text = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const complete = (text + value).split("\n\n");
    text = complete.pop() ?? "";
    for (const event of complete) {
      if (event.startsWith("data: ")) yield event.slice("data: ".length);
    }
  }
}
