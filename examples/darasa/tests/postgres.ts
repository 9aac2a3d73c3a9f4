import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";

const DEBIAN = "/usr/lib/postgresql";

/** The newest of Debian's PostgreSQL directories, else the path. */
function program(name: string): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(DEBIAN, version, "bin", name)).find(existsSync) ?? name;
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

/** Asks until it is so; what is asked may throw meanwhile. */
export async function until(what: string, ask: () => Promise<boolean>, seconds = 20): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await ask().catch(() => false))) {
    if (Date.now() > end) throw new Error(`${what} did not happen within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** A PostgreSQL of the tests' own. It refuses root, so there it runs as `postgres`. */
export class TestPostgres {
  private child: ChildProcess | undefined;

  private constructor(
    private readonly home: string,
    private readonly port: number,
    private readonly account: { uid: number; gid: number } | undefined,
  ) {}

  static async start(): Promise<TestPostgres> {
    const home = mkdtempSync(join(tmpdir(), "darasa-"));
    chmodSync(home, 0o755);
    const id = (flag: string): number => Number(execFileSync("id", [flag, "postgres"]));
    const account = process.getuid?.() === 0 ? { uid: id("-u"), gid: id("-g") } : undefined;
    const data = join(home, "pg");
    mkdirSync(data, { mode: 0o700 });
    if (account) chownSync(data, account.uid, account.gid);
    const options = ["-D", data, "-U", "darasa", "-A", "trust", "-E", "UTF8", "--no-sync"];
    execFileSync(program("initdb"), options, { ...account, cwd: "/", stdio: "ignore" });
    const server = new TestPostgres(home, await freePort(), account);
    await server.up();
    return server;
  }

  get parts(): Record<string, string> {
    return { DB_HOST: "127.0.0.1", DB_PORT: String(this.port), DB_USER: "darasa", DB_NAME: "postgres" };
  }

  get url(): string {
    return `postgresql://darasa@127.0.0.1:${this.port}/postgres`;
  }

  async up(): Promise<void> {
    const settings = [`port=${this.port}`, "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"];
    const argv = ["-D", join(this.home, "pg"), ...settings.flatMap((setting) => ["-c", setting])];
    this.child = spawn(program("postgres"), argv, { ...this.account, cwd: "/", stdio: "ignore" });
    await until("the start of PostgreSQL", async () => {
      const sql = postgres(this.url, { max: 1, connect_timeout: 2 });
      try {
        await sql`select 1`;
        return true;
      } finally {
        await sql.end();
      }
    });
  }

  async down(): Promise<void> {
    this.child?.kill("SIGINT");
    if (this.child) await ended(this.child);
  }

  async stop(): Promise<void> {
    await this.down();
    rmSync(this.home, { recursive: true, force: true });
  }
}
