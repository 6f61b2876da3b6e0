/** Starts a local Scrip for the tests of an app. For Node only. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { type Duration, secondsOf } from "../duration.js";
import { Scrip } from "../scrip.js";

/** Where the local stack comes from: a program, or a container image. */
export interface StartOptions {
  /** Path of `scrip-local`. Default: the environment variable `SCRIP_LOCAL`. */
  path?: string | undefined;
  /** A container image of the local stack, instead of a path. */
  image?: string | undefined;
  /** The program that runs containers. Default `docker`. */
  containerRuntime?: string | undefined;
  /** False starts the stack with the real clock, without `advance`. Default true. */
  testClock?: boolean | undefined;
  /** More flags of the local stack, such as `["--jwt-secret", secret]`. */
  flags?: readonly string[] | undefined;
  /** Default 30,000. */
  startTimeoutMs?: number | undefined;
}

/** Webhook secret of a local stack without the flag `--webhook-secret`. */
export const LOCAL_WEBHOOK_SECRET = "local-webhook-secret";

/** A running local stack with an empty table in memory. */
export interface RunningScrip {
  /** Address of the HTTP API, on a free port. */
  url: string;
  /** A client without a token. */
  scrip: Scrip;
  /** Moves the clock of the service forward, such as `advance("31d")`. */
  advance: (duration: Duration | number) => Promise<void>;
  /** Stops the process and removes its container. */
  stop: () => Promise<void>;
}

const CONTAINER_PORT = "9000";

/**
 * Starts the local stack.
 *
 * @example
 * ```ts
 * const local = await startScrip();
 * afterAll(() => local.stop());
 * ```
 */
export async function startScrip(options: StartOptions = {}): Promise<RunningScrip> {
  const flags = ["--memory", ...(options.testClock === false ? [] : ["--test-clock"]), ...(options.flags ?? [])];
  const process = options.image ? runContainer(options.image, flags, options) : runProgram(options, flags);
  // A test run that ends without `stop` must not leave the stack running.
  const kill = () => process.child.kill();
  globalThis.process.once("exit", kill);
  const url = await process.url.catch((error: unknown) => {
    kill();
    throw error;
  });
  return {
    url,
    scrip: new Scrip({ url }),
    advance: (duration) => advance(url, duration),
    stop: async () => {
      globalThis.process.off("exit", kill);
      if (process.child.exitCode !== null || process.child.signalCode !== null) return;
      const exited = once(process.child, "exit");
      kill();
      await exited;
    },
  };
}

interface StartedProcess {
  child: ChildProcess;
  url: Promise<string>;
}

function runProgram({ path, startTimeoutMs }: StartOptions, flags: string[]): StartedProcess {
  const program = path ?? process.env["SCRIP_LOCAL"];
  if (!program) throw new TypeError("Set `path` or `image`, or the environment variable `SCRIP_LOCAL`.");
  const child = spawn(program, ["--port", "0", "--dynamodb-port", "0", ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { child, url: listeningUrl(child, startTimeoutMs) };
}

function runContainer(image: string, flags: string[], options: StartOptions): StartedProcess {
  const { containerRuntime = "docker", startTimeoutMs } = options;
  const name = `scrip-test-${randomUUID()}`;
  const publish = `127.0.0.1::${CONTAINER_PORT}`;
  const command = [image, "--host", "0.0.0.0", "--port", CONTAINER_PORT, ...flags];
  const child = spawn(containerRuntime, ["run", "--rm", "--name", name, "--publish", publish, ...command], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const url = listeningUrl(child, startTimeoutMs).then(async () => {
    const { stdout } = await promisify(execFile)(containerRuntime, ["port", name, CONTAINER_PORT]);
    return `http://${stdout.trim().split("\n")[0]}`;
  });
  return { child, url };
}

/** The address that the stack prints when it serves. Rejects with its messages if it exits. */
function listeningUrl(child: ChildProcess, timeoutMs = 30_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const output: string[] = [];
    const fail = (reason: string) => {
      clearTimeout(timer);
      reject(new Error([`The local stack ${reason}.`, ...output].join("\n")));
    };
    const timer = setTimeout(() => fail(`did not start within ${timeoutMs} ms`), timeoutMs);
    child.on("error", (error) => fail(`cannot be started: ${error.message}`));
    child.on("exit", (code) => fail(`exited with code ${code}`));
    createInterface({ input: child.stderr! }).on("line", (line) => output.push(line));
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const match = /^listening on (\S+)$/.exec(line);
      if (!match) return;
      clearTimeout(timer);
      resolve(match[1]!);
    });
  });
}

async function advance(url: string, duration: Duration | number): Promise<void> {
  const response = await fetch(`${url}/test/clock`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ advance_seconds: secondsOf(duration) }),
  });
  if (!response.ok) throw new Error(`The local stack has no test clock: HTTP status ${response.status}.`);
}
