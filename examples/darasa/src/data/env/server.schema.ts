import { z } from "zod";
import { databaseUrl } from "./database-url";
import { InvalidEnvironment, readEnv, type Values } from "./read";

const schema = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: "is not the URL of a PostgreSQL database" }),
  DATABASE_POOL_SIZE: z.coerce.number("is not a number").int().min(1).max(100).default(10),
  FORM_SECRET: z.string().min(32, "has to be at least 32 characters (openssl rand -base64 32)"),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error"], "has to be debug, info, warn or error").default("info"),
});
export type ServerEnv = z.output<typeof schema>;

/** The server's variables out of `values`. Throws InvalidEnvironment, naming every one that is wrong or missing. */
export function readServerEnv(values: Values): ServerEnv {
  try {
    return readEnv("server", schema, { ...values, DATABASE_URL: databaseUrl(values) });
  } catch (fault) {
    if (!(fault instanceof InvalidEnvironment)) throw fault;
    const hint = " (or DB_HOST, DB_PORT, DB_USER, DB_PASSWORD and DB_NAME)";
    throw new InvalidEnvironment(
      "server",
      fault.problems.map((line) => (line === "DATABASE_URL is not set" ? line + hint : line)),
    );
  }
}
