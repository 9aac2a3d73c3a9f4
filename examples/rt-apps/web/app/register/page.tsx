import type { Metadata } from "next";
import Link from "next/link";

import { RegisterForm } from "./form";

export const metadata: Metadata = { title: "Create an account" };

export default function Register() {
  return (
    <section className="card">
      <h1>Create an account</h1>
      <RegisterForm />
      <p>
        Have one already? <Link href="/login">Sign in</Link>.
      </p>
    </section>
  );
}
