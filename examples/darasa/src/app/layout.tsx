import type { Metadata } from "next";
import Link from "next/link";
import { connection } from "next/server";
import type { ReactNode } from "react";
import { clientEnv } from "@/data/env/client";
import "./globals.css";

export const metadata: Metadata = {
  title: { default: clientEnv.NEXT_PUBLIC_SITE_NAME, template: `%s · ${clientEnv.NEXT_PUBLIC_SITE_NAME}` },
  description: "Courses with a limited number of places.",
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
          <Link href="/" className="brand">
            {clientEnv.NEXT_PUBLIC_SITE_NAME}
          </Link>
        </header>
        <main id="main">{children}</main>
        <footer>
          Questions? <a href={`mailto:${clientEnv.NEXT_PUBLIC_CONTACT_EMAIL}`}>{clientEnv.NEXT_PUBLIC_CONTACT_EMAIL}</a>
        </footer>
      </body>
    </html>
  );
}
