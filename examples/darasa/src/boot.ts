import "server-only";
import { InvalidEnvironment } from "./data/env/read";
import { serverEnv } from "./data/env/server";
import { log } from "./log";

/** A server without a usable environment ends here with everything that is wrong, not at the first visitor. */
export function checkEnvironment(): void {
  try {
    serverEnv();
  } catch (fault) {
    if (!(fault instanceof InvalidEnvironment)) throw fault;
    log("error", "the environment is not usable", { problems: fault.problems });
    process.exit(1);
  }
}
