// The console: who is looked at, and what is shown of them.

import { Api } from "./api.js";
import { byId, el } from "./dom.js";
import { follow } from "./live.js";
import { MyCredits } from "./my-credits.js";
import { showRequests } from "./requests.js";
import { Table } from "./table.js";
import { forget, fresh, listen } from "./try-it.js";

/** How the connection is told. @type {Record<import("./live.js").State, string>} */
const STATES = {
  connecting: "connecting …",
  live: "live",
  away: "the local stack does not answer; trying again …",
  refused: "not allowed",
};

const api = new Api();
const userField = byId("user", HTMLInputElement);
const live = byId("live", HTMLElement);

let stop = new AbortController();
/** @type {MyCredits | undefined} */
let myCredits;

/** Looks at a user. @param {string} user */
function open(user) {
  stop.abort();
  stop = new AbortController();
  myCredits?.close();
  userField.value = user;
  if (location.hash !== `#${user}`) history.replaceState(null, "", `#${user}`);
  const credits = (myCredits = new MyCredits(byId("my-credits", HTMLElement), { get: (path) => api.get(path), user }));
  const table = new Table(byId("table", HTMLElement), api, user, stop.signal);
  const changed = () => {
    credits.refresh();
    if (!byId("table-panel", HTMLElement).hidden) table.refresh();
  };
  showTable = () => table.refresh();
  const is = (/** @type {import("./live.js").State} */ state) => {
    live.dataset["state"] = state;
    live.textContent = STATES[state];
  };
  follow(user, api, { changed, is }, stop.signal);
}

/** Reads the table, now that it is looked at. */
let showTable = () => {};

/** Users who have anything, to choose from. */
async function suggestUsers() {
  const { status, answer } = await api.send("GET", "/console/users", undefined, true);
  const users = status === 200 ? /** @type {string[]} */ (answer) : [];
  byId("users", HTMLElement).replaceChildren(...users.map((user) => el("option", { value: user })));
  return users;
}

function listenForUsers() {
  byId("who", HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    userField.blur();
  };
  userField.onchange = () => {
    if (!userField.reportValidity()) return;
    forget();
    open(userField.value);
  };
  userField.onfocus = () => suggestUsers();
  byId("new-user", HTMLButtonElement).onclick = () => {
    forget();
    open(fresh("user"));
  };
  window.onhashchange = () => {
    if (hashed() && hashed() !== userField.value) open(hashed());
  };
}

/** The user in the address, if it is one. */
function hashed() {
  const user = decodeURIComponent(location.hash.slice(1));
  return /^[A-Za-z0-9._:-]{1,255}$/.test(user) ? user : "";
}

function listenForTokens() {
  const token = byId("token", HTMLInputElement);
  byId("token-form", HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    api.token = token.value.trim();
    open(userField.value);
  };
}

/** Tabs, as the keyboard expects them: one of them is in its way, arrows go from one to the next. */
function listenForTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")].map((tab) => byId(tab.id, HTMLButtonElement));
  const choose = (/** @type {HTMLButtonElement} */ chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls") ?? "", HTMLElement).hidden = tab !== chosen;
    }
    if (chosen.id === "table-tab") showTable();
  };
  tabs.forEach((tab, index) => {
    tab.onclick = () => choose(tab);
    tab.onkeydown = (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = by && tabs.at((index + by) % tabs.length);
      if (!next) return;
      choose(next);
      next.focus();
    };
  });
}

function listenForTheme() {
  const theme = byId("theme", HTMLSelectElement);
  const show = () => {
    document.documentElement.dataset["theme"] = theme.value;
    localStorage.setItem("theme", theme.value);
  };
  theme.value = localStorage.getItem("theme") ?? "auto";
  theme.onchange = show;
  show();
}

listenForTheme();
listenForTabs();
listenForTokens();
listenForUsers();
listen(api, () => userField.value);
showRequests(byId("requests", HTMLElement), api);
byId("own", HTMLInputElement).onchange = (event) =>
  byId("requests", HTMLElement).classList.toggle("all", event.target instanceof HTMLInputElement && event.target.checked);
open(hashed() || (await suggestUsers())[0] || fresh("user"));
