import type { Values } from "./read";

const LOCAL = new Set(["localhost", "127.0.0.1", "::1"]);

/**
 * DATABASE_URL as it is given, else composed from DB_HOST, DB_PORT, DB_USER, DB_PASSWORD and DB_NAME.
 * A database elsewhere is asked for TLS unless DB_SSLMODE says otherwise. Undefined when there is neither.
 */
export function databaseUrl(values: Values): string | undefined {
  if (values.DATABASE_URL) return values.DATABASE_URL;
  const { DB_HOST: host, DB_USER: user, DB_NAME: name } = values;
  if (!host || !user || !name) return undefined;
  const quoted = encodeURIComponent;
  const login = values.DB_PASSWORD ? `${quoted(user)}:${quoted(values.DB_PASSWORD)}` : quoted(user);
  const place = `${host.includes(":") ? `[${host}]` : host}:${values.DB_PORT || "5432"}`;
  const mode = values.DB_SSLMODE || (LOCAL.has(host) ? undefined : "require");
  return `postgresql://${login}@${place}/${quoted(name)}${mode ? `?sslmode=${quoted(mode)}` : ""}`;
}
