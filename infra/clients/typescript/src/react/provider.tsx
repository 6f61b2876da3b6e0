"use client";
/** Reads the balance once for all components below, and again when it may have changed. */

import { type ReactNode, createContext, useCallback, useContext, useEffect, useMemo, useRef, useState } from "react";

import type { Balance } from "../types.js";
import { type CreditsLabels, ENGLISH } from "./labels.js";
import type { CreditsSource } from "./source.js";

/** The credits of the user, as read last. */
export interface Credits {
  /** Undefined until the first read. */
  balance: Balance | undefined;
  /** The failure of the last read. */
  error: unknown;
  isLoading: boolean;
  /** Counts the refreshes; the timeline reads again when it changes. */
  version: number;
  /** Reads again. Call it after a generation. */
  refresh: () => void;
  source: CreditsSource;
  labels: CreditsLabels;
  /** Formats an amount in the locale of the provider. */
  formatNumber: (value: number) => string;
  /** Formats an RFC 3339 time as a date, in the locale and time zone of the provider. */
  formatDate: (time: string) => string;
}

/** Properties of {@link CreditsProvider}. */
export interface CreditsProviderProps {
  /** Must stay the same object between renders. */
  source: CreditsSource;
  /** A balance that the server has read, so that the first page shows it. */
  initialBalance?: Balance | undefined;
  labels?: Partial<CreditsLabels> | undefined;
  /** Language of numbers and dates. The default is the same on server and browser: `en`. */
  locale?: string | undefined;
  /** Time zone of dates. Default `UTC`. */
  timeZone?: string | undefined;
  children: ReactNode;
}

/** The longest delay of a timer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const Context = createContext<Credits | undefined>(undefined);

/** The credits of the nearest {@link CreditsProvider}. */
export function useCredits(): Credits {
  const credits = useContext(Context);
  if (!credits) throw new Error("`useCredits` needs a `CreditsProvider` above it.");
  return credits;
}

/** Provides the credits of one user to the components below. */
export function CreditsProvider(props: CreditsProviderProps) {
  const { source, labels, locale = "en", timeZone = "UTC" } = props;
  const read = useBalance(source, props.initialBalance);
  const texts = useMemo(() => ({ ...ENGLISH, ...labels }), [labels]);
  const credits = useMemo(() => {
    const numbers = new Intl.NumberFormat(locale);
    const dates = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone });
    return {
      ...read,
      source,
      labels: texts,
      formatNumber: (value: number) => numbers.format(value),
      formatDate: (time: string) => dates.format(new Date(time)),
    };
  }, [read, source, texts, locale, timeZone]);
  return <Context.Provider value={credits}>{props.children}</Context.Provider>;
}

type Read = Pick<Credits, "balance" | "error" | "isLoading" | "version" | "refresh">;

/** Reads at the start, when the page becomes visible, and when the first pack expires. */
function useBalance(source: CreditsSource, initial: Balance | undefined): Read {
  const [state, setState] = useState<Omit<Read, "version" | "refresh">>({
    balance: initial,
    error: undefined,
    isLoading: initial === undefined,
  });
  const [version, setVersion] = useState(0);
  const refresh = useCallback(() => setVersion((version) => version + 1), []);
  /** The source that the initial balance came from. */
  const initialSource = useRef(initial && source);

  useEffect(() => {
    if (version === 0 && initialSource.current === source) return undefined;
    let isCurrent = true;
    setState((state) => ({ ...state, isLoading: true }));
    source.balance().then(
      (balance) => isCurrent && setState({ balance, error: undefined, isLoading: false }),
      (error: unknown) => isCurrent && setState((state) => ({ ...state, error, isLoading: false })),
    );
    return () => {
      isCurrent = false;
    };
  }, [source, version]);

  useEffect(() => {
    const onVisible = () => !document.hidden && refresh();
    document.addEventListener("visibilitychange", onVisible);
    return () => document.removeEventListener("visibilitychange", onVisible);
  }, [refresh]);

  const firstExpiry = state.balance?.packs[0]?.expired_at;
  useEffect(() => {
    if (!firstExpiry) return undefined;
    const delay = Date.parse(firstExpiry) - Date.now();
    const timer = setTimeout(refresh, Math.min(Math.max(delay, 1_000), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  }, [firstExpiry, version, refresh]);

  return useMemo(() => ({ ...state, version, refresh }), [state, version, refresh]);
}
