import type { Metadata } from "next";
import Link from "next/link";

import { LoginForm } from "./form";

export const metadata: Metadata = { title: "Sign in" };

export default function Login() {
  return (
    <section className="card">
      <h1>Sign in</h1>
      <LoginForm />
      <p>
        No account yet? <Link href="/register">Create one</Link>.
      </p>
    </section>
  );
}
