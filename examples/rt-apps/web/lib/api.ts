// The API under /api/v1 of the page's own origin. The access token is kept in memory only; the refresh token is in a
// cookie that no script can read.

export type User = { id: string; email: string; name: string; bio: string; created_at: string };
export type Faults = Record<string, string>;

type Session = { user?: User; access_token: string; expires_in: number };
type Options = { fetch?: typeof fetch; lock?: <T>(work: () => Promise<T>) => Promise<T>; now?: () => number };

/** An answer that is not 2xx. `fields` says what to correct; `retryAfter` is in seconds. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fields: Faults = {},
    readonly retryAfter = 0,
  ) {
    super(message);
  }
}

const margin = 30_000; // a token that ends within this many ms is renewed first

export class Api {
  private token = "";
  private until = 0;
  private renewing: Promise<void> | null = null;
  private readonly fetch: typeof fetch;
  private readonly lock: NonNullable<Options["lock"]>;
  private readonly now: () => number;

  constructor(options: Options = {}) {
    this.fetch = options.fetch ?? ((...request) => globalThis.fetch(...request));
    this.lock = options.lock ?? acrossTabs;
    this.now = options.now ?? Date.now;
  }

  async register(email: string, password: string, name: string): Promise<User> {
    return this.signIn("/register", { email, password, name });
  }

  async login(email: string, password: string): Promise<User> {
    return this.signIn("/login", { email, password });
  }

  async logout(): Promise<void> {
    await this.send("POST", "/logout");
    this.forget();
  }

  /** Whoever is signed in; ApiError with status 401 when nobody is. */
  async profile(): Promise<User> {
    return this.signedIn("GET", "/profile");
  }

  async change(change: { name?: string; bio?: string }): Promise<User> {
    return this.signedIn("PATCH", "/profile", change);
  }

  private async signIn(path: string, body: object): Promise<User> {
    const session: Session = await this.send("POST", path, body);
    this.keep(session);
    if (!session.user) throw new ApiError(502, "the API answered without an account");
    return session.user;
  }

  /** With a fresh token; once more with another when the API refuses it. */
  private async signedIn<T>(method: string, path: string, body?: object): Promise<T> {
    if (this.now() > this.until - margin) await this.renew();
    try {
      return await this.send<T>(method, path, body);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      await this.renew();
      return this.send<T>(method, path, body);
    }
  }

  /** One renewal at a time, whoever asks. */
  private renew(): Promise<void> {
    this.renewing ??= this.lock(async () => this.keep(await this.send<Session>("POST", "/refresh")))
      .catch((error: unknown) => {
        this.forget();
        throw error;
      })
      .finally(() => {
        this.renewing = null;
      });
    return this.renewing;
  }

  private keep(session: Session): void {
    this.token = session.access_token;
    this.until = this.now() + session.expires_in * 1000;
  }

  private forget(): void {
    this.token = "";
    this.until = 0;
  }

  private async send<T>(method: string, path: string, body?: object): Promise<T> {
    const headers: Record<string, string> = {};
    if (body) headers["Content-Type"] = "application/json";
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    let response: Response;
    try {
      response = await this.fetch(`/api/v1${path}`, {
        method,
        headers,
        body: body && JSON.stringify(body),
        credentials: "same-origin",
        signal: AbortSignal.timeout(30_000),
      });
    } catch {
      throw new ApiError(0, "The server cannot be reached. Are you online?");
    }
    if (response.status === 204) return undefined as T;
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer as T;
    const wait = Number(response.headers.get("Retry-After")) || 0;
    throw new ApiError(response.status, answer.error ?? `The server answered ${response.status}.`, answer.fields, wait);
  }
}

/** Two tabs must not use the same refresh token: the second would look like a thief. */
async function acrossTabs<T>(work: () => Promise<T>): Promise<T> {
  if (typeof navigator === "undefined" || !navigator.locks) return work();
  return navigator.locks.request("rt-refresh", work) as Promise<T>;
}

/** What to tell a person. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return "Something went wrong here. Please try again.";
  if (error.status === 429) return `Too many tries. Please wait ${minutes(error.retryAfter)}.`;
  if (error.status === 401) return "The address or the password is not right.";
  if (Object.keys(error.fields).length > 0) return "Please look at the marked fields.";
  return error.message.charAt(0).toUpperCase() + error.message.slice(1);
}

function minutes(seconds: number): string {
  if (seconds < 60) return "a minute";
  return `${Math.ceil(seconds / 60)} minutes`;
}

export const api = new Api();
