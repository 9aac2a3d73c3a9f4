import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const DEBIAN = "/usr/lib/postgresql";
const MIGRATIONS = join(__dirname, "../prisma/migrations");

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
export async function until(what: string, ask: () => Promise<boolean> | boolean, seconds = 20): Promise<void> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      if (await ask()) return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    if (Date.now() > end) throw new Error(`${what} did not happen within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** A server of the tests' own in a folder of its own; `up` again after `down` finds the same data. */
abstract class TestServer {
  protected readonly home = mkdtempSync(join(tmpdir(), "akashic-"));
  protected port = 0;
  private child: ChildProcess | undefined;

  protected abstract argv(): [string, ...string[]];
  protected abstract answers(): boolean;
  protected account: { uid: number; gid: number } | undefined;

  async up(): Promise<void> {
    this.port ||= await freePort();
    const [file, ...rest] = this.argv();
    this.child = spawn(file, rest, { ...this.account, cwd: "/", stdio: "ignore" });
    await until(`the start of ${file}`, () => this.answers());
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

/** PostgreSQL refuses root, so there it runs as `postgres`. */
export class TestPostgres extends TestServer {
  static async start(): Promise<TestPostgres> {
    const server = new TestPostgres();
    const id = (flag: string): number => Number(execFileSync("id", [flag, "postgres"]));
    if (process.getuid?.() === 0) server.account = { uid: id("-u"), gid: id("-g") };
    chmodSync(server.home, 0o755);
    const data = join(server.home, "pg");
    mkdirSync(data, { mode: 0o700 });
    if (server.account) chownSync(data, server.account.uid, server.account.gid);
    const options = ["-D", data, "-U", "akashic", "-A", "trust", "-E", "UTF8", "--no-sync"];
    execFileSync(program("initdb"), options, { ...server.account, cwd: "/", stdio: "ignore" });
    await server.up();
    return server;
  }

  get url(): string {
    return `postgresql://akashic@127.0.0.1:${this.port}/postgres`;
  }

  protected argv(): [string, ...string[]] {
    const settings = [`port=${this.port}`, "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"];
    return [program("postgres"), "-D", join(this.home, "pg"), ...settings.flatMap((setting) => ["-c", setting])];
  }

  protected answers(): boolean {
    return this.sql("select 1") === "1";
  }

  /** The answer of psql to a statement, bare. */
  sql(statement: string): string {
    const options = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", this.url, "-c", statement];
    return execFileSync(program("psql"), options, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  }

  /** Apply prisma/migrations in the order of their names, each in a transaction. */
  migrate(): void {
    for (const name of readdirSync(MIGRATIONS).sort()) {
      const file = join(MIGRATIONS, name, "migration.sql");
      if (existsSync(file)) execFileSync(program("psql"), ["-Xq1", "-v", "ON_ERROR_STOP=1", "-d", this.url, "-f", file]);
    }
  }
}

export class TestRedis extends TestServer {
  static async start(): Promise<TestRedis> {
    const server = new TestRedis();
    await server.up();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}/0`;
  }

  protected argv(): [string, ...string[]] {
    return ["redis-server", "--port", String(this.port), "--bind", "127.0.0.1", "--save", "", "--dir", this.home];
  }

  protected answers(): boolean {
    return this.cli("ping") === "PONG";
  }

  cli(...command: string[]): string {
    const options = ["-h", "127.0.0.1", "-p", String(this.port), ...command];
    return execFileSync("redis-cli", options, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  }
}
