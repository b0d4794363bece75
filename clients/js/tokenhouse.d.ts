import type { Input, Response as Answer, Route, Schemas } from "./api.d.ts";

/** The tokens of a session, as a storage keeps them. */
export interface Tokens {
  access_token: string;
  /** Missing if the server issues none. The session then ends with the access token. */
  refresh_token?: string | undefined;
  /** What the access token allows, separated by spaces. */
  scope: string;
  session_id?: number | undefined;
  /** When the response arrived, by the clock of this device: milliseconds, as `Date.now()`. */
  received_at: number;
  /** How long the access token is valid from then on, in milliseconds. */
  lifetime: number;
}

/** A sign-in on a device. */
export type Session = Schemas["Session"];

/** Keeps the tokens. Methods may return promises. */
export interface TokenStorage {
  read(): Tokens | null | Promise<Tokens | null>;
  /** Replaces the tokens; null removes them. */
  write(tokens: Tokens | null): void | Promise<void>;
  /** Reports changes by others, such as other tabs. Returns what ends the reports. */
  subscribe?(listener: (before: Tokens | null, after: Tokens | null) => void): () => void;
}

/** Keeps the tokens in this page or process: a reload signs out. */
export function memory(tokens?: Tokens | null): TokenStorage;

/** Keeps the tokens in `localStorage`, for all tabs, or in `sessionStorage`. Every script of the
 * origin can read them there. */
export function webStorage(storage: Storage, key?: string): TokenStorage;

export interface ClientOptions {
  /** Where Tokenhouse is, such as `https://auth.example.com`. */
  url: string;
  /** Default: `memory()`. */
  storage?: TokenStorage;
  /** The origins of your services, such as `https://api.example.com`. `fetch` sends the token to
   * these, to `url` and to the origin of the page, and refuses others. */
  origins?: string[];
  /** A sign-in with the same `id` (a random one of your choice, kept by the device) replaces the
   * session of that device. `name` is what the list of sessions shows. */
  device?: { id?: string; name?: string };
  /** Whether to ask for a refresh token. Default: true. */
  offline?: boolean;
  /** Whether to refresh the tokens in time, also without requests. Default: true. Turn it off on a
   * server that creates a client per request. */
  background?: boolean;
  /** Sends a request. Default: the global `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
}

export interface Events {
  "signed-in": {};
  refreshed: {};
  "signed-out": {
    /** `signed-out`: by `signOut` here. `elsewhere`: in another tab. `invalid_grant`: the server has
     * ended the session. `invalid_token`: the access token is invalid, and there is no refresh token. */
    reason: "signed-out" | "elsewhere" | "invalid_grant" | "invalid_token";
    /** The server's words, for the log. */
    description?: string;
  };
}

export interface Client {
  /** As the global `fetch`, with the access token. After a 401 it refreshes the tokens and repeats
   * the request once. A relative URL is relative to the page, and in Node to `url`.
   *
   * @throws TypeError for an origin that is not allowed, or if there is no connection.
   * @throws TokenhouseError if the tokens cannot be refreshed now. The user is still signed in. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

  /** Calls a route of Tokenhouse, such as `call("PATCH /users/me", { body: { name: "Ada" } })`, and
   * returns the JSON of the response.
   *
   * @throws TokenhouseError for a status other than 2xx; otherwise as `fetch`. */
  call<R extends Route>(route: R, ...input: Input<R>): Promise<Answer<R>>;

  /** Signs in, with all scopes of the user or with these.
   *
   * @throws TokenhouseError with the code `invalid_grant` for a wrong address or password. */
  signIn(credentials: SignIn): Promise<SignedIn>;

  /** Ends the session: here at once, then on the server. With `everywhere` it ends all sessions of the
   * user, first on the server.
   *
   * @throws TokenhouseError or TypeError if the server cannot be told. */
  signOut(options?: { everywhere?: boolean }): Promise<void>;

  /** Returns an access token for other uses, such as a WebSocket, or null if nobody is signed in. */
  token(): Promise<string | null>;

  /** The user's sessions on all devices. */
  sessions: {
    list(): Promise<Session[]>;
    rename(id: number, name: string): Promise<Session>;
    end(id: number): Promise<void>;
    /** Ends all sessions but this one. */
    endOthers(): Promise<void>;
  };

  /** Calls a listener for each of these events, also for those of other tabs with `webStorage`.
   * Returns what removes the listener. */
  on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void;

  /** Stops the timer and the reports of the storage. The session remains. */
  close(): void;
}

export interface SignIn {
  /** The e-mail address. */
  username: string;
  password: string;
  /** Scopes, separated by spaces. Default: all that the user holds. */
  scope?: string;
}

export interface SignedIn {
  kind: "signed-in";
  scope: string;
}

export function createClient(options: ClientOptions): Client;

/** A response that is no success. Without a connection, `fetch`'s own error is thrown instead. */
export class TokenhouseError extends Error {
  readonly status: number;
  /** The code of OAuth2 (RFC 6749 section 5.2), such as `invalid_grant`. */
  readonly code: string | undefined;
  /** The JSON of the response. */
  readonly body: unknown;
  /** Seconds. */
  readonly retryAfter: number | undefined;
  /** Whether to try again later: status 429, or 500 and above. */
  readonly isOutage: boolean;
}
