/** HMAC-SHA256 signatures of call-backs, by WebCrypto alone. */

const encoder = new TextEncoder();

/** Imports a shared secret: `whsec_` and base64, or text that is used as its bytes. */
export function importSecret(secret: string): Promise<CryptoKey> {
  const bytes = secret.startsWith("whsec_") ? fromBase64(secret.slice("whsec_".length)) : encoder.encode(secret);
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}

/** The HMAC of the concatenated parts. */
export async function hmac(secret: string, ...parts: (string | Uint8Array)[]): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.sign("HMAC", await importSecret(secret), concatenated(parts)));
}

/** Compares in constant time. */
export async function verifyHmac(
  secret: string,
  signature: Uint8Array<ArrayBuffer>,
  ...parts: (string | Uint8Array)[]
): Promise<boolean> {
  return crypto.subtle.verify("HMAC", await importSecret(secret), signature, concatenated(parts));
}

/** The value of `X-Signature` for a body that is sent now. */
export async function signatureOf(body: string | Uint8Array, secret: string): Promise<string> {
  const time = Math.floor(Date.now() / 1_000);
  return `t=${time},v1=${toHex(await hmac(secret, `${time}.`, body))}`;
}

function concatenated(parts: (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const chunks = parts.map((part) => (typeof part === "string" ? encoder.encode(part) : part));
  const bytes = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of a hexadecimal text; empty if the text is not hexadecimal. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  if (!/^(?:[0-9a-f]{2})*$/i.test(text)) return new Uint8Array();
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** The bytes of a base64 text. Throws a `DOMException` if the text is not base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Base64url without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
