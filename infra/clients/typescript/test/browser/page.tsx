/** The page of the browser tests: all components, on markup that the server rendered. */

import { StrictMode } from "react";
import { hydrateRoot } from "react-dom/client";

import { Scrip } from "../../src/index.js";
import { creditsSourceOf } from "../../src/react/index.js";
import { App, type PageData } from "./app.js";

declare global {
  interface Window {
    data: PageData;
  }
}

const { user, initialBalance } = window.data;
const source = creditsSourceOf(new Scrip({ url: location.origin, retry: { attempts: 1 } }), user);
hydrateRoot(
  document.getElementById("root")!,
  <StrictMode>
    <App source={source} initialBalance={initialBalance} />
  </StrictMode>,
);
