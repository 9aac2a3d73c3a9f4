import type { NextConfig } from "next";
import { readClientEnv } from "./src/data/env/client.schema";

const config: NextConfig = {
  output: "standalone",
  poweredByHeader: false,
  reactStrictMode: true,
  env: readClientEnv(process.env),
};

export default config;
