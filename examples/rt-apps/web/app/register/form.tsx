"use client";

import { useRouter } from "next/navigation";

import { Field, Form } from "@/components/form";
import { api } from "@/lib/api";

export function RegisterForm() {
  const router = useRouter();
  return (
    <Form
      button="Create account"
      busy="Creating…"
      action={async ({ email = "", password = "", name = "" }) => {
        await api.register(email, password, name);
        router.push("/profile");
      }}
    >
      {(faults) => (
        <>
          <Field name="name" label="Name" autoComplete="name" maxLength={80} fault={faults.name} />
          <Field name="email" label="E-mail" type="email" autoComplete="username" fault={faults.email} />
          <Field
            name="password"
            label="Password"
            type="password"
            autoComplete="new-password"
            minLength={8}
            maxLength={128}
            fault={faults.password}
          />
        </>
      )}
    </Form>
  );
}
