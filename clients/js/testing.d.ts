/** The first line of `tokenhouse dev`. */
export interface Announcement {
  url: string;
  static_key: string;
  control_key: string;
  pid?: number;
  database?: string;
}

export interface ServerOptions {
  /** The program. Default: the environment variable TEST_TOKENHOUSE_BINARY, or `tokenhouse` in the PATH. */
  binary?: string;
  /** The path of a seed file. */
  seed?: string;
  /** The time of the start, at which the clock stands. Default: it shows the present time. */
  clock?: Date;
  /** Settings, such as `{ TOKENHOUSE_TOKEN_LIFETIME: 60 }`. */
  settings?: Record<string, string | number>;
  /** Several processes use the server: it refuses what would disturb the others. */
  shared?: boolean;
}

export interface TestUser {
  id: number;
  email: string;
  password: string;
  name: string;
  scopes: string;
  disabled: boolean;
}

/** A mail. `links` and `codes` are as they were made; nothing is to be decoded. */
export interface Mail {
  id: number;
  to: string;
  /** What it is for, such as `reset-password`. */
  purpose: string;
  locale: string;
  sent_at: string;
  message_id: string;
  subject: string;
  text: string;
  html: string;
  links: string[];
  codes: string[];
}

export interface TestServer {
  /** For `connectTokenhouse` in another process. Contains secrets of this server. */
  announcement: Announcement;
  url: string;
  /** API_KEY_TOKEN of the server, with which an app can introspect. */
  staticKey: string;

  /** Creates a user, with an address of its own by default. */
  user(fields?: {
    email?: string;
    password?: string;
    name?: string;
    scopes?: string | string[];
    disabled?: boolean;
  }): Promise<TestUser>;
  /** Returns an access token of the user, or of this address, without a password and its hash, as if the
   * user had signed in by the methods in `amr` (RFC 8176), such as `["pwd", "otp"]`. */
  signIn(user: TestUser | string, options?: { scope?: string; amr?: string[] }): Promise<string>;
  /** Signs the user in, and returns the header for requests to the app. */
  headers(
    user: TestUser | string,
    options?: { scope?: string; amr?: string[] },
  ): Promise<{ authorization: string }>;

  clock: {
    now(): Promise<Date>;
    /** Moves the clock by seconds, and returns the new time. */
    advance(seconds: number): Promise<Date>;
    /** Sets the clock, which then stands unless it is `ticking`. */
    set(time: Date, options?: { ticking?: boolean }): Promise<Date>;
  };

  /** The mails of the server, which sends none. */
  mailbox: {
    /** The id of the latest mail, for `after`. */
    mark(): Promise<number>;
    /** The mails that match, oldest first. */
    mails(wanted?: { to?: string; purpose?: string; after?: number }): Promise<Mail[]>;
    /** Waits for a mail to an address, 5 seconds by default, and returns the latest one. Name the purpose,
     * because a notice may arrive first, and a mark from before the request if the address has earlier
     * mails.
     *
     * @throws Error with the mails that have arrived, if there is none. */
    waitFor(
      to: string,
      options?: { purpose?: string; after?: number; timeout?: number },
    ): Promise<Mail>;
    /** Removes the mails to an address, or all. */
    clear(to?: string): Promise<void>;
  };

  /** Back to the state after the start: the users of the seed, no tokens, the clock. With a domain,
   * only its users. */
  reset(): Promise<unknown>;
  /** Lets the database be unreachable for the server, which then answers 503. */
  failDatabase(milliseconds: number): Promise<void>;
  /** Sends a request with the control key, and returns the JSON of the response. */
  control(method: string, path: string, body?: object): Promise<any>;
  /** The end of the server's log; empty in a process that has not started it. */
  log(): string;
  /** Ends the server, which removes its database. Does nothing in a process that has not started it. */
  stop(): Promise<void>;
}

/** Starts `tokenhouse dev` with an empty database. It ends with `stop`, or with this process.
 *
 * @throws Error with the server's log, if it does not start. */
export function startTokenhouse(options?: ServerOptions): Promise<TestServer>;

/** Uses a server that another process has started. With a `domain`, the users of this process have
 * addresses in it, and `reset` affects only these: give each process its own, such as
 * `worker-3.example.com`. */
export function connectTokenhouse(
  announcement: Announcement,
  options?: { domain?: string },
): TestServer;

type Use = (server: TestServer) => Promise<void>;

/** Fixtures for `test.extend` of vitest (3.2 and newer) and Playwright: `tokenhouseServer`, a server
 * for each worker, and `tokenhouse`, the same in the state after its start. */
export function fixtures(options?: ServerOptions): {
  tokenhouseServer: [(context: {}, use: Use) => Promise<void>, { scope: "worker" }];
  tokenhouse: (context: { tokenhouseServer: TestServer }, use: Use) => Promise<void>;
};
