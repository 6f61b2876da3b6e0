/** The part of Next.js that the example uses, so that it is compiled here without Next.js. Do not copy it. */

declare module "next/server" {
  export function connection(): Promise<void>;
}
