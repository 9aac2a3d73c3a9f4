import "server-only";
import { PrismaPg } from "@prisma/adapter-pg";
import { serverEnv } from "./env/server";
import { PrismaClient } from "./generated/prisma/client";

// On globalThis: a reload in development makes this module anew, and the pool must not be.
const place = globalThis as typeof globalThis & { akashicPrisma?: PrismaClient };

function open(): PrismaClient {
  const env = serverEnv();
  const adapter = new PrismaPg({
    connectionString: env.DATABASE_URL,
    max: env.DATABASE_POOL_SIZE,
    connectionTimeoutMillis: 5_000,
    maxLifetimeSeconds: 300,
    application_name: "akashic",
  });
  return new PrismaClient({ adapter });
}

/** The database of DATABASE_URL; connected when first used. */
export function db(): PrismaClient {
  place.akashicPrisma ??= open();
  return place.akashicPrisma;
}

/** End every connection; the next query makes new ones. */
export async function closeDatabase(): Promise<void> {
  const { akashicPrisma } = place;
  delete place.akashicPrisma;
  await akashicPrisma?.$disconnect();
}
