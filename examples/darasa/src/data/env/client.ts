import type { ClientEnv } from "./client.schema";

/**
 * The public variables, for any component. Next.js puts the values that `next.config.ts` checked in place of these
 * words, which is why each is written out and why no schema reaches the browser.
 */
export const clientEnv = {
  NEXT_PUBLIC_SITE_NAME: process.env.NEXT_PUBLIC_SITE_NAME as string,
  NEXT_PUBLIC_CONTACT_EMAIL: process.env.NEXT_PUBLIC_CONTACT_EMAIL as string,
} satisfies ClientEnv;
