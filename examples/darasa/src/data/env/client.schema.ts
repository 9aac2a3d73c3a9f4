import { z } from "zod";
import { readEnv, type Values } from "./read";

type PublicShape = Record<`NEXT_PUBLIC_${string}`, z.ZodType>;

/** What a browser may read. Without the prefix it does not compile: nothing gets here by accident. */
const shape = {
  NEXT_PUBLIC_SITE_NAME: z.string().max(40, "has to be at most 40 characters").default("Darasa"),
  NEXT_PUBLIC_CONTACT_EMAIL: z.email("is not an e-mail address").default("courses@darasa.example"),
} satisfies PublicShape;

const schema = z.object(shape);
export type ClientEnv = z.output<typeof schema>;

/**
 * The public variables, read once by `next.config.ts`, so that a wrong one stops the build.
 * SKIP_ENV_VALIDATION=1 makes that build go on with the defaults, for images that are built where nothing is known yet.
 */
export function readClientEnv(values: Values): ClientEnv {
  return readEnv("client", schema, values.SKIP_ENV_VALIDATION === "1" ? {} : values);
}
