import type { Metadata, Viewport } from "next";
import Link from "next/link";
import type { ReactNode } from "react";

import "./style.css";

export const metadata: Metadata = {
  title: { default: "RT Apps", template: "%s · RT Apps" },
  description: "An account, a profile, and nothing else.",
};

export const viewport: Viewport = { colorScheme: "light dark" };

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <header>
          <Link href="/" className="brand">
            RT&nbsp;Apps
          </Link>
          <nav aria-label="Main">
            <Link href="/login">Sign in</Link>
            <Link href="/profile">Profile</Link>
          </nav>
        </header>
        <main>{children}</main>
      </body>
    </html>
  );
}
