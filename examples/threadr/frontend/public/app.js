// Threadr's page. Everything it shows comes from the API of the same origin; text is only ever set as text.
const at = (id) => document.getElementById(id);
const plural = (n, word) => `${n.toLocaleString()} ${word}${n === 1 ? "" : "s"}`;
let stream = null;

async function api(path, options = {}) {
  const response = await fetch(`/api${path}`, { credentials: "same-origin", ...options }).catch(() => {
    throw new Error("The server cannot be reached. Your text is still here.");
  });
  const body = await response.json().catch(() => ({}));
  if (body.plan?.day) showPlan(body.plan);
  if (!response.ok) throw new Error(body.error ? body.error + again(response) : `The server answered ${response.status}.`);
  return body;
}

function again(response) {
  const seconds = Number(response.headers.get("Retry-After"));
  if (response.status !== 429 || !seconds) return "";
  const when = new Date(Date.now() + seconds * 1000);
  return ` You can make another ${when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}.`;
}

function showPlan({ plan, day, month }) {
  at("plan-name").textContent = plan;
  at("plan-day").textContent = `${day.left} of ${day.limit}`;
  at("plan-month").textContent = `${month.left} of ${month.limit}`;
  at("plan").hidden = false;
}

function postItem(text) {
  const item = at("post-template").content.firstElementChild.cloneNode(true);
  item.querySelector(".text").textContent = text;
  item.querySelector(".length").textContent = `${[...text].length} / 280`;
  const button = item.querySelector(".copy");
  button.setAttribute("aria-label", `Copy post ${text.split(" ", 1)[0]}`);
  button.addEventListener("click", () => copy(button, text));
  return item;
}

async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy by hand";
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

function startResult(title) {
  at("posts").replaceChildren();
  at("notice").hidden = true;
  at("result-title").textContent = title;
  at("progress").removeAttribute("value");
  at("progress").hidden = false;
  at("result").hidden = false;
}

function endResult(notice) {
  at("progress").hidden = true;
  at("notice").textContent = notice ?? "";
  at("notice").hidden = !notice;
  at("go").disabled = false;
}

function follow(path) {
  stream?.close();
  stream = new EventSource(path);
  const on = (name, then) => stream.addEventListener(name, (event) => then(JSON.parse(event.data)));
  on("asking", () => { at("status").textContent = "A language model is writing…"; });
  on("post", ({ n, of, text }) => {
    at("posts").append(postItem(text));
    at("progress").max = of;
    at("progress").value = n;
    at("status").textContent = `Post ${n} of ${of}`;
  });
  on("done", ({ posts, notice }) => {
    stream.close();
    at("status").textContent = `Done: ${plural(posts, "post")}.`;
    endResult(notice);
    refresh();
  });
  on("failed", ({ error }) => {
    stream.close();
    at("status").textContent = "";
    at("error").textContent = error;
    endResult();
    refresh();
  });
  // The browser reconnects by itself and says which event it had last, so that nothing is shown twice.
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED) {
      at("error").textContent = "The connection was lost. The thread will be under Saved threads.";
      endResult();
    } else {
      at("status").textContent = "Reconnecting…";
    }
  };
}

async function submit(event) {
  event.preventDefault();
  at("error").textContent = "";
  at("go").disabled = true;
  at("status").textContent = "Sending…";
  const body = JSON.stringify({ content: at("article").value });
  try {
    const accepted = await api("/generate", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    startResult("Thread");
    follow(accepted.events);
  } catch (error) {
    at("status").textContent = "";
    at("error").textContent = error.message;
    at("go").disabled = false;
  }
}

function savedItem(thread) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  const made = thread.status === "done" ? plural(thread.posts.length, "post") : thread.status;
  for (const text of [thread.title, made]) {
    button.append(Object.assign(document.createElement("span"), { textContent: text }));
  }
  button.addEventListener("click", () => {
    startResult(thread.title);
    at("posts").replaceChildren(...thread.posts.map(postItem));
    endResult(thread.notice);
    at("result").scrollIntoView();
  });
  item.append(button);
  return item;
}

async function refresh() {
  try {
    showPlan(await api("/plan"));
    const { threads } = await api("/threads");
    at("saved").replaceChildren(...threads.map(savedItem));
    at("none").hidden = threads.length > 0;
  } catch (error) {
    at("error").textContent = error.message;
  }
}

function listen() {
  const own = new EventSource("/api/events");
  own.addEventListener("hello", () => { at("link").textContent = ""; });
  own.addEventListener("thread", refresh);
  own.onerror = () => { at("link").textContent = "Reconnecting to the server…"; };
}

at("form").addEventListener("submit", submit);
at("article").addEventListener("input", () => {
  at("count").textContent = plural([...at("article").value].length, "character");
});
at("copy-all").addEventListener("click", (event) => {
  const posts = [...at("posts").querySelectorAll(".text")].map((p) => p.textContent);
  copy(event.currentTarget, posts.join("\n\n"));
});
refresh().then(listen);
