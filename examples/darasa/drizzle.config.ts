import { defineConfig } from "drizzle-kit";
import { databaseUrl } from "./src/data/env/database-url";

export default defineConfig({
  dialect: "postgresql",
  schema: "./src/drizzle/schema.ts",
  out: "./src/drizzle/migrations",
  dbCredentials: { url: databaseUrl(process.env) ?? "" },
});
