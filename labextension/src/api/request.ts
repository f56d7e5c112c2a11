import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

/** Where the server extension answers, below the server's base URL. */
const NAMESPACE = 'himalia/api';

/** The server extension answered, but not with success. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint: string = ''
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

/**
 * Ask Himalia's server extension.
 *
 * @param endpoint - the path below `himalia/api`
 * @param serverSettings - the application's own settings
 * @returns the JSON of the answer
 * @throws ServerConnection.NetworkError when the server does not answer
 * @throws RequestError when it answers with an error
 */
export async function requestAPI<T>(
  endpoint: string,
  serverSettings: ServerConnection.ISettings,
  init: RequestInit = {}
): Promise<T> {
  const url = URLExt.join(serverSettings.baseUrl, NAMESPACE, endpoint);
  const response = await ServerConnection.makeRequest(url, init, serverSettings);
  const text = await response.text();
  const body = parse(text);
  if (!response.ok) {
    throw new RequestError(
      response.status,
      words(body, 'detail') || words(body, 'message') || response.statusText,
      words(body, 'hint')
    );
  }
  if (body === undefined) {
    throw new RequestError(response.status, `The answer to ${endpoint} is not JSON.`);
  }
  return body as T;
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
