"use client";

import { useRouter } from "next/navigation";

import { Field, Form } from "@/components/form";
import { api } from "@/lib/api";

export function LoginForm() {
  const router = useRouter();
  return (
    <Form
      button="Sign in"
      busy="Signing in…"
      action={async ({ email = "", password = "" }) => {
        await api.login(email, password);
        router.push("/profile");
      }}
    >
      {(faults) => (
        <>
          <Field name="email" label="E-mail" type="email" autoComplete="username" fault={faults.email} />
          <Field name="password" label="Password" type="password" autoComplete="current-password" fault={faults.password} />
        </>
      )}
    </Form>
  );
}
