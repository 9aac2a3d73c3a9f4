import { z } from "zod";
import { readEnv, type Values } from "./read";

const schema = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: "is not the URL of a PostgreSQL database" }),
  DATABASE_POOL_SIZE: z.coerce.number("is not a number").int().min(1).max(100).default(10),
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: "is not the URL of a Redis" }).optional(),
  OPENAI_API_KEY: z.string().optional(),
  OPENAI_BASE_URL: z.url({ protocol: /^https?$/, error: "is not an http or https URL" }).default("https://api.openai.com/v1"),
  OPENAI_MODEL: z.string().default("gpt-4o-mini"),
  OPENAI_TIMEOUT: z.coerce.number("is not a number of seconds").positive().max(600).default(30),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error"], "has to be debug, info, warn or error").default("info"),
});
export type ServerEnv = z.output<typeof schema>;

/** The server's variables out of `values`. Throws InvalidEnvironment, naming every one that is wrong or missing. */
export function readServerEnv(values: Values): ServerEnv {
  return readEnv("server", schema, values);
}
