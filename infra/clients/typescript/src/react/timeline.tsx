"use client";
/** The records of the user, newest first, page by page. */

import { type ComponentProps, useCallback, useEffect, useRef, useState } from "react";

import type { LedgerRecord } from "../types.js";
import { LoadingFailed } from "./loading-failed.js";
import { useCredits } from "./provider.js";

/** Properties of {@link Timeline}, besides those of `ol`. */
export interface TimelineProps extends ComponentProps<"ol"> {
  /** Shows refunded charges too. Default false. */
  includeVoided?: boolean | undefined;
  /** Records of a page, 1 to 100. Default 20. */
  limit?: number | undefined;
}

/** Lists the records, with a button for the next page. */
export function Timeline({ includeVoided = false, limit = 20, ...props }: TimelineProps) {
  const { labels } = useCredits();
  const { records, hasMore, error, isLoading, read } = useTimeline(includeVoided, limit);
  return (
    <div data-scrip="timeline" aria-busy={isLoading}>
      {records.length > 0 && (
        <ol aria-label={labels.timeline} {...props}>
          {records.map((record) => (
            <Line key={record.trans_no} record={record} />
          ))}
        </ol>
      )}
      {records.length === 0 && !isLoading && error === undefined && <p>{labels.noRecords}</p>}
      {error !== undefined && <LoadingFailed onRetry={read} />}
      {hasMore && error === undefined && (
        <button type="button" onClick={read} disabled={isLoading}>
          {labels.showMore}
        </button>
      )}
    </div>
  );
}

function Line({ record }: { record: LedgerRecord }) {
  const { labels, formatNumber, formatDate } = useCredits();
  const amount = `${record.credits > 0 ? "+" : ""}${formatNumber(record.credits)}`;
  return (
    <li data-scrip="record" data-state={stateOf(record)}>
      <time dateTime={record.created_at}>{formatDate(record.created_at)}</time>{" "}
      <span data-scrip="type">{labels.record(record)}</span> {record.is_voided ? <del>{amount}</del> : <b>{amount}</b>}
      {record.is_voided && <span data-scrip="reason"> {labels.voided(record)}</span>}
      {stateOf(record) === "held" && <span> {labels.held}</span>}
    </li>
  );
}

/** For style sheets: `[data-state="voided"]`. */
function stateOf({ credits, is_voided, settled_at, hold_until }: LedgerRecord): string {
  if (credits > 0) return "granted";
  if (is_voided) return "voided";
  if (settled_at) return "settled";
  return hold_until ? "held" : "charged";
}

interface Pages {
  records: LedgerRecord[];
  cursor: string | undefined;
  error: unknown;
  isLoading: boolean;
}

const EMPTY: Pages = { records: [], cursor: undefined, error: undefined, isLoading: true };

/** Reads the first page at the start and after each refresh, and the next page on request. */
function useTimeline(includeVoided: boolean, limit: number) {
  const { source, version } = useCredits();
  const [pages, setPages] = useState(EMPTY);
  /** Counts the reads; only the latest one may change the pages. */
  const latest = useRef(0);

  const readFrom = useCallback(
    async (cursor: string | undefined) => {
      const number = ++latest.current;
      const update = (change: (pages: Pages) => Pages) => latest.current === number && setPages(change);
      update((pages) => ({ ...pages, isLoading: true }));
      try {
        const page = await source.timeline({ cursor, include_voided: includeVoided, limit });
        update(({ records }) => ({
          records: cursor ? [...records, ...page.records] : page.records,
          cursor: page.cursor,
          error: undefined,
          isLoading: false,
        }));
      } catch (error) {
        update((pages) => ({ ...pages, error, isLoading: false }));
      }
    },
    [source, includeVoided, limit],
  );

  useEffect(() => {
    const reads = latest;
    void readFrom(undefined);
    return () => {
      reads.current++;
    };
  }, [readFrom, version]);

  const { cursor } = pages;
  const read = useCallback(() => void readFrom(cursor), [readFrom, cursor]);
  return { ...pages, hasMore: cursor !== undefined, read };
}
