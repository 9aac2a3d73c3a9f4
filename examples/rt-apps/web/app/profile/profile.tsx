"use client";

import { useRouter } from "next/navigation";
import { useEffect, useState } from "react";

import { Field, Form } from "@/components/form";
import { api, ApiError, explain, type User } from "@/lib/api";

export function Profile() {
  const router = useRouter();
  const [user, setUser] = useState<User | null>(null);
  const [problem, setProblem] = useState("");
  const [saved, setSaved] = useState(false);

  useEffect(() => {
    let gone = false;
    api.profile().then(
      (found) => {
        if (!gone) setUser(found);
      },
      (error: unknown) => {
        if (gone) return;
        if (error instanceof ApiError && error.status === 401) router.replace("/login");
        else setProblem(explain(error));
      },
    );
    return () => {
      gone = true;
    };
  }, [router]);

  async function signOut() {
    try {
      await api.logout();
      router.push("/login");
    } catch (error) {
      setProblem(explain(error));
    }
  }

  if (problem) {
    return (
      <p className="problem" role="alert">
        {problem}
      </p>
    );
  }
  if (!user) return <p aria-busy="true">One moment…</p>;
  return (
    <>
      <h1>Hello, {user.name}</h1>
      <p className="quiet">
        {user.email}, since {new Date(user.created_at).toLocaleDateString()}
      </p>
      <Form
        button="Save"
        busy="Saving…"
        action={async ({ name, bio }) => {
          setSaved(false);
          try {
            setUser(await api.change({ name, bio }));
            setSaved(true);
          } catch (error) {
            if (!(error instanceof ApiError) || error.status !== 401) throw error;
            router.replace("/login"); // signed out elsewhere
          }
        }}
      >
        {(faults) => (
          <>
            <Field name="name" label="Name" value={user.name} maxLength={80} fault={faults.name} />
            <Field name="bio" label="About you" value={user.bio} maxLength={1000} long optional fault={faults.bio} />
          </>
        )}
      </Form>
      <p role="status">{saved && "Saved."}</p>
      <button type="button" className="plain" onClick={signOut}>
        Sign out
      </button>
    </>
  );
}
