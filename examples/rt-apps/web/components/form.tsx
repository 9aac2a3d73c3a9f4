"use client";

import { type FormEvent, type ReactNode, useState } from "react";

import { ApiError, explain, type Faults } from "@/lib/api";

type FieldProps = {
  name: string;
  label: string;
  type?: "text" | "email" | "password";
  autoComplete?: string;
  value?: string;
  minLength?: number;
  maxLength?: number;
  long?: boolean;
  optional?: boolean;
  fault?: string;
};

export function Field({ name, label, type = "text", value, long, optional, fault, ...rest }: FieldProps) {
  const shared = {
    id: name,
    name,
    defaultValue: value,
    required: !optional,
    "aria-invalid": fault ? true : undefined,
    "aria-describedby": fault ? `${name}-fault` : undefined,
    ...rest,
  };
  return (
    <div className="field">
      <label htmlFor={name}>{label}</label>
      {long ? <textarea rows={4} {...shared} /> : <input type={type} {...shared} />}
      {fault && (
        <p className="fault" id={`${name}-fault`}>
          {label} {fault}.
        </p>
      )}
    </div>
  );
}

type FormProps = {
  action: (values: Record<string, string>) => Promise<void>;
  button: string;
  busy: string;
  children: (faults: Faults) => ReactNode;
};

/** A form that says what is wrong, and cannot be sent twice at once. */
export function Form({ action, button, busy, children }: FormProps) {
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState("");
  const [faults, setFaults] = useState<Faults>({});

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const values = Object.fromEntries([...new FormData(event.currentTarget)].map(([name, value]) => [name, String(value)]));
    setSending(true);
    setProblem("");
    setFaults({});
    try {
      await action(values);
    } catch (error) {
      setProblem(explain(error));
      setFaults(error instanceof ApiError ? error.fields : {});
    } finally {
      setSending(false);
    }
  }

  return (
    <form onSubmit={submit} method="post">
      {children(faults)}
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <button type="submit" disabled={sending}>
        {sending ? busy : button}
      </button>
    </form>
  );
}
