import type { Metadata } from "next";
import { connection } from "next/server";
import type { ReactNode } from "react";
import "./globals.css";

export const metadata: Metadata = {
  title: { default: "Akashic", template: "%s · Akashic" },
  description: "Notes that answer questions.",
};

export default async function Layout({ children }: { children: ReactNode }) {
  await connection(); // every page is made for one request: its scripts carry that request's nonce
  return (
    <html lang="en">
      <body>
        <a className="skip" href="#main">
          Skip to the content
        </a>
        <header>
          <h1>Akashic</h1>
          <p className="quiet">Write notes, ask them questions.</p>
        </header>
        <main id="main">{children}</main>
        <footer>No account: a cookie on this browser is what opens your notes.</footer>
      </body>
    </html>
  );
}
