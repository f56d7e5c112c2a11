import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { UUID } from '@lumino/coreutils';

/** Where the server extension answers, below the server's base URL. */
export const NAMESPACE = 'himalia/api';

/** The server answered, but not with success. Message, hint and field are the service's own words. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint: string = '',
    /** The faulty part of what was sent ("name"); empty when it is not about one. */
    readonly field: string = '',
    /** "stopped" or "starting" when it was not the service that answered. */
    readonly service: string = ''
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

/** A path from its parts, each encoded: `at('projects', slug, 'runs')`. */
export function at(...parts: (string | number)[]): string {
  return parts.map(part => encodeURIComponent(part)).join('/');
}

/**
 * Ask Himalia's server extension.
 *
 * @param endpoint - the path below `himalia/api`
 * @param serverSettings - the application's own settings
 * @returns the JSON of the answer; undefined when the answer has no body
 * @throws ServerConnection.NetworkError when the server does not answer
 * @throws RequestError when it answers with an error
 */
export async function requestAPI<T>(
  endpoint: string,
  serverSettings: ServerConnection.ISettings,
  init: RequestInit = {}
): Promise<T> {
  const text = await requestText(endpoint, serverSettings, init);
  if (text === '') {
    return undefined as T;
  }
  const body = parse(text);
  if (body === undefined) {
    throw new RequestError(
      502,
      `The answer to ${endpoint} is not JSON.`,
      "Check that Himalia's extension of the Jupyter server is enabled: jupyter server extension list"
    );
  }
  return body as T;
}

/** As `requestAPI`, for answers that are plain text. */
export async function requestText(
  endpoint: string,
  serverSettings: ServerConnection.ISettings,
  init: RequestInit = {}
): Promise<string> {
  const url = URLExt.join(serverSettings.baseUrl, NAMESPACE, endpoint);
  const headers = new Headers(init.headers);
  if (!headers.has('X-Request-ID')) {
    headers.set('X-Request-ID', UUID.uuid4()); // found again in the logs of server, service and children
  }
  if (typeof init.body === 'string') {
    headers.set('Content-Type', 'application/json'); // a Request makes it text/plain by itself
  }
  const response = await ServerConnection.makeRequest(url, { ...init, headers }, serverSettings);
  const text = await response.text();
  if (!response.ok) {
    throw refusal(response, parse(text));
  }
  return text;
}

/** A file that was fetched. */
export interface IDownload {
  file: Blob;
  /** What was said about it. */
  headers: Headers;
}

/** As `requestAPI`, for a file. */
export async function requestFile(
  endpoint: string,
  serverSettings: ServerConnection.ISettings
): Promise<IDownload> {
  const url = URLExt.join(serverSettings.baseUrl, NAMESPACE, endpoint);
  const headers = { 'X-Request-ID': UUID.uuid4() };
  const response = await ServerConnection.makeRequest(url, { headers }, serverSettings);
  if (!response.ok) {
    throw refusal(response, parse(await response.text()));
  }
  return { file: await response.blob(), headers: response.headers };
}

/**
 * As `requestText`, for a text that grows while it is read.
 *
 * @param take - called with each further part
 * @param signal - ends the reading; that is no error
 */
export async function followText(
  endpoint: string,
  serverSettings: ServerConnection.ISettings,
  take: (part: string) => void,
  signal: AbortSignal
): Promise<void> {
  const url = URLExt.join(serverSettings.baseUrl, NAMESPACE, endpoint);
  const headers = { 'X-Request-ID': UUID.uuid4() };
  try {
    const response = await ServerConnection.makeRequest(url, { headers, signal }, serverSettings);
    if (!response.ok) {
      throw refusal(response, parse(await response.text()));
    }
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      take(part.value);
    }
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
  }
}

function refusal(response: Response, body: unknown): RequestError {
  const message =
    words(body, 'detail') ||
    words(body, 'message') ||
    words(body, 'title') ||
    response.statusText ||
    `The server answered with status ${response.status}.`;
  return new RequestError(
    response.status,
    message,
    words(body, 'hint'),
    words(body, 'field'),
    words(body, 'service')
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function words(body: unknown, key: string): string {
  if (typeof body !== 'object' || body === null) {
    return '';
  }
  const value = (body as Record<string, unknown>)[key];
  return typeof value === 'string' ? value : '';
}
