import "server-only";
import { readServerEnv, type ServerEnv } from "./schema";

let read: ServerEnv | undefined;

/** The server's variables, read when first asked for: a build has none of them and needs none. */
export function serverEnv(): ServerEnv {
  read ??= readServerEnv(process.env);
  return read;
}
