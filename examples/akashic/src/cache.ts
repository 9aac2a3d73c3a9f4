import "server-only";
import { createClient } from "@redis/client";
import { serverEnv } from "./env/server";
import { log } from "./log";
import { within } from "./within";

const PATIENCE = 500; // milliseconds: a cache that is slower than the work it saves is of no use

function client(url: string) {
  return createClient({
    url,
    disableOfflineQueue: true,
    socket: { connectTimeout: 2_000, reconnectStrategy: (tries) => Math.min(100 * 2 ** tries, 5_000) },
  });
}
type Redis = ReturnType<typeof client>;

// On globalThis: a reload in development makes this module anew, and the connection must not be.
const place = globalThis as typeof globalThis & { akashicRedis?: Redis };

/** The Redis of REDIS_URL, connecting by itself whenever it can; undefined when there is none. */
function redis(): Redis | undefined {
  const url = serverEnv().REDIS_URL;
  if (url === undefined || place.akashicRedis) return place.akashicRedis;
  const made = client(url);
  let down = false;
  made.on("ready", () => {
    down = false;
    log("info", "redis is there");
  });
  made.on("error", (error: unknown) => {
    if (!down) log("warn", "redis is not there; going on without a cache", { error });
    down = true;
  });
  made.connect().catch((error: unknown) => log("warn", "redis could not be reached", { error }));
  place.akashicRedis = made;
  return made;
}

async function ask<T>(work: (client: Redis) => Promise<T>): Promise<T | undefined> {
  const there = redis();
  if (!there) return undefined;
  try {
    return await within(PATIENCE, work(there));
  } catch (error) {
    log("debug", "cache missed for a fault", { error });
    return undefined;
  }
}

/** The text under `key`; undefined when there is none, or no Redis, or it does not answer. */
export async function cached(key: string): Promise<string | undefined> {
  return (await ask((client) => client.get(key))) ?? undefined;
}

/** Keep `text` under `key` for `seconds`, where there is a Redis that takes it. */
export async function keep(key: string, text: string, seconds: number): Promise<void> {
  await ask((client) => client.set(key, text, { expiration: { type: "EX", value: seconds } }));
}

/** Whether Redis answers; undefined when none is configured. */
export async function cacheAnswers(): Promise<boolean | undefined> {
  if (serverEnv().REDIS_URL === undefined) return undefined;
  return (await ask((client) => client.ping())) === "PONG";
}

export async function closeCache(): Promise<void> {
  place.akashicRedis?.destroy();
  delete place.akashicRedis;
}
