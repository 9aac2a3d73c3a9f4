import "server-only";
import { cacheAnswers } from "./cache";
import { InvalidEnvironment } from "./env/read";
import { serverEnv } from "./env/server";
import { log } from "./log";

/**
 * A server without a usable environment ends here with everything that is wrong, not at the first visitor.
 * One that has it begins to connect to its cache.
 */
export async function start(): Promise<void> {
  try {
    serverEnv();
  } catch (fault) {
    if (!(fault instanceof InvalidEnvironment)) throw fault;
    log("error", "the environment is not usable", { problems: fault.problems });
    process.exit(1);
  }
  await cacheAnswers();
}
