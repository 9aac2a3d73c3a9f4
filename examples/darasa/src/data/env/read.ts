import { z } from "zod";

export type Values = Readonly<Record<string, string | undefined>>;

/** Every fault of an environment at once, by the names of its variables. No message shows a value. */
export class InvalidEnvironment extends Error {
  readonly problems: readonly string[];

  constructor(where: string, problems: readonly string[]) {
    super(`The ${where} environment is not usable:\n${problems.map((line) => `  ${line}`).join("\n")}`);
    this.name = "InvalidEnvironment";
    this.problems = problems;
  }
}

/** What `schema` makes of `values`; an empty variable counts as one that is not set. Throws InvalidEnvironment. */
export function readEnv<S extends z.ZodObject>(where: string, schema: S, values: Values): z.output<S> {
  const set = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== ""));
  const read = schema.safeParse(set);
  if (read.success) return read.data;
  const problems = read.error.issues.map((issue) => {
    const name = issue.path.join(".");
    return name in set ? `${name}: ${issue.message}` : `${name} is not set`;
  });
  throw new InvalidEnvironment(where, problems.sort());
}
