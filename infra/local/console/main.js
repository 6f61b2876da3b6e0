// The console: opens a user, and connects the parts of the page.

import { Api } from "./api.js";
import { byId, el } from "./dom.js";
import { follow } from "./live.js";
import { MyCredits } from "./my-credits.js";
import { Orders } from "./orders.js";
import { showRequests } from "./requests.js";
import { Table } from "./table.js";
import { clearScenarios, connectForms, randomName } from "./try-it.js";

/** Texts of the connection state. @type {Record<import("./live.js").State, string>} */
const STATES = {
  connecting: "connecting …",
  live: "live",
  offline: "the local stack does not respond; reconnecting …",
  denied: "access denied",
};

const api = new Api();
const userField = byId("user", HTMLInputElement);
const live = byId("live", HTMLElement);

let stopFollowing = new AbortController();
/** @type {MyCredits | undefined} */
let myCredits;

/** @param {string} user */
function open(user) {
  stopFollowing.abort();
  stopFollowing = new AbortController();
  myCredits?.close();
  userField.value = user;
  if (location.hash !== `#${user}`) history.replaceState(null, "", `#${user}`);
  const refundOutput = (/** @type {import("./credits.js").Entry} */ { generation_uuid }, /** @type {number} */ output) =>
    api.post("/credits/refund", { user_uuid: user, generation_uuid, outputs: [output], reason: "refunded in the console" });
  const orders = new Orders(api, user);
  const showOrder = (/** @type {string} */ orderNo) => orders.card(orderNo);
  const credits = (myCredits = new MyCredits(byId("my-credits", HTMLElement), { get: (path) => api.get(path), user, refundOutput, showOrder }));
  const table = new Table(byId("table", HTMLElement), api, user, stopFollowing.signal);
  const onChange = () => {
    credits.refresh();
    orders.refresh();
    if (!byId("table-panel", HTMLElement).hidden) table.refresh();
  };
  showTable = () => table.refresh();
  const onState = (/** @type {import("./live.js").State} */ state) => {
    live.dataset["state"] = state;
    live.textContent = STATES[state];
  };
  follow(user, api, { onChange, onState }, stopFollowing.signal);
}

/** Reads the table when its tab is opened. */
let showTable = () => {};

/** Fills the suggestions of the user field. */
async function suggestUsers() {
  const { status, response } = await api.send("GET", "/console/users", undefined, true);
  const users = status === 200 ? /** @type {string[]} */ (response) : [];
  byId("users", HTMLElement).replaceChildren(...users.map((user) => el("option", { value: user })));
  return users;
}

function listenForUsers() {
  byId("user-form", HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    userField.blur();
  };
  userField.onchange = () => {
    if (!userField.reportValidity()) return;
    clearScenarios();
    open(userField.value);
  };
  userField.onfocus = () => suggestUsers();
  byId("new-user", HTMLButtonElement).onclick = () => {
    clearScenarios();
    open(randomName("user"));
  };
  window.onhashchange = () => {
    if (userInAddress() && userInAddress() !== userField.value) open(userInAddress());
  };
}

/** The user in the address, or "" if it is not a valid user. */
function userInAddress() {
  const user = decodeURIComponent(location.hash.slice(1));
  return /^[A-Za-z0-9._:|@+=~/-]{1,255}$/.test(user) ? user : "";
}

function listenForTokens() {
  const token = byId("token", HTMLInputElement);
  byId("token-form", HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    api.token = token.value.trim();
    open(userField.value);
  };
}

/** Keyboard behaviour of tabs: one tab stop, and arrows move between the tabs. */
function listenForTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")].map((tab) => byId(tab.id, HTMLButtonElement));
  const select = (/** @type {HTMLButtonElement} */ selected) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === selected));
      tab.tabIndex = tab === selected ? 0 : -1;
      byId(tab.getAttribute("aria-controls") ?? "", HTMLElement).hidden = tab !== selected;
    }
    if (selected.id === "table-tab") showTable();
  };
  tabs.forEach((tab, index) => {
    tab.onclick = () => select(tab);
    tab.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = step && tabs.at((index + step) % tabs.length);
      if (!next) return;
      select(next);
      next.focus();
    };
  });
}

function listenForTheme() {
  const theme = byId("theme", HTMLSelectElement);
  const apply = () => {
    document.documentElement.dataset["theme"] = theme.value;
    localStorage.setItem("theme", theme.value);
  };
  theme.value = localStorage.getItem("theme") ?? "auto";
  theme.onchange = apply;
  apply();
}

listenForTheme();
listenForTabs();
listenForTokens();
listenForUsers();
connectForms(api, () => userField.value);
showRequests(byId("requests", HTMLElement), api);
byId("own", HTMLInputElement).onchange = (event) =>
  byId("requests", HTMLElement).classList.toggle("all", event.target instanceof HTMLInputElement && event.target.checked);
open(userInAddress() || (await suggestUsers())[0] || randomName("user"));
