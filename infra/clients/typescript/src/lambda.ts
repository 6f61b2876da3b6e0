/** Direct invocation of the Lambda functions, through a client of the AWS SDK that the caller injects. */

import { type ErrorCode, type ScripError, errorOf, isServiceCode } from "./errors.js";
import type { FunctionName, Operation } from "./operations.js";
import type { Transport, TransportCall } from "./transport.js";

/** The part of the AWS SDK's `Lambda` class (`@aws-sdk/client-lambda`) that is used. */
export interface LambdaClient {
  /** Invokes a function and waits for its result. */
  invoke(
    input: { FunctionName: string; Qualifier?: string; Payload: Uint8Array },
    options: { abortSignal: AbortSignal },
  ): Promise<{ FunctionError?: string | undefined; Payload?: Uint8Array | undefined }>;
}

/** A client that invokes the functions directly. IAM decides about access. */
export interface LambdaOptions {
  /** `new Lambda({ region })` of `@aws-sdk/client-lambda`. */
  client: LambdaClient;
  /** Name of the stack. Its functions are `<stack>-grant`, `<stack>-decrease` and so on. */
  stack: string;
  /** Alias or version of the functions. Default `live`, which the template creates. */
  qualifier?: string | undefined;
}

/** Errors of the Lambda service that reject an invocation before the function runs. */
const REJECTED: Record<string, ErrorCode> = {
  TooManyRequestsException: "Throttled",
  EC2ThrottledException: "Throttled",
  ThrottlingException: "Throttled",
  AccessDeniedException: "Forbidden",
  ExpiredTokenException: "Unauthorized",
  UnrecognizedClientException: "Unauthorized",
  ResourceNotFoundException: "NotFound",
  RequestTooLargeException: "PayloadTooLarge",
};

export class LambdaTransport implements Transport {
  readonly #options: LambdaOptions;

  constructor(options: LambdaOptions) {
    this.#options = options;
  }

  async send<Request, Answer>(
    operation: Operation<Request, Answer>,
    request: Request,
    call: TransportCall,
  ): Promise<Answer> {
    const { client, qualifier = "live" } = this.#options;
    const payload = operation.name ? { operation: operation.name, ...request } : request;
    let result;
    try {
      result = await client.invoke(
        {
          FunctionName: this.#nameOf(operation.function),
          Qualifier: qualifier,
          Payload: new TextEncoder().encode(JSON.stringify(payload)),
        },
        { abortSignal: call.signal },
      );
    } catch (cause) {
      const { name, message } = cause as Error;
      throw errorOf(REJECTED[name] ?? "NoResponse", message, { cause });
    }
    const body = parse(result.Payload);
    if (body && !result.FunctionError) return body as Answer;
    throw failure(body);
  }

  #nameOf(name: FunctionName): string {
    return `${this.#options.stack}-${name}`;
  }
}

function parse(payload: Uint8Array | undefined): Record<string, unknown> | undefined {
  try {
    return JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function failure(body: Record<string, unknown> = {}): ScripError {
  const type = body["errorType"];
  const code = isServiceCode(type) ? type : "UnexpectedResponse";
  return errorOf(code, (body["errorMessage"] as string | undefined) ?? "The function returned no JSON object.");
}
