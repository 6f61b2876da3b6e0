"use client";
/** Components that show the credits of the user who looks at the page: accessible, without styles. */

export { CreditsProvider, useCredits } from "./provider.js";
export type { Credits, CreditsProviderProps } from "./provider.js";
export { Balance } from "./balance.js";
export { Packs } from "./packs.js";
export { Timeline } from "./timeline.js";
export type { TimelineProps } from "./timeline.js";
export { creditsSourceOf } from "./source.js";
export type { CreditsSource, TimelinePage } from "./source.js";
export type { CreditsLabels } from "./labels.js";
