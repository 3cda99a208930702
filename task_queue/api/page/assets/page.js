"use strict";
// Times in the reader's zone, the keys, what is live, files that are dropped. The page works without it.

const SHORT = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const LONG = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

function sayTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    const today = at.toDateString() === new Date().toDateString();
    const text = (today ? SHORT : LONG).format(at);
    if (element.textContent !== text) element.textContent = text;
    element.title = EXACT.format(at);
  }
  for (const element of document.querySelectorAll("[data-until]")) {
    const left = Math.max(0, Math.round((new Date(element.dataset.until) - Date.now()) / 1000));
    const text = left ? `(${Math.floor(left / 3600)}:${String(Math.floor(left / 60) % 60).padStart(2, "0")}:${String(left % 60).padStart(2, "0")})` : "";
    if (element.textContent !== text) element.textContent = text;
  }
}

function say(sentence) {
  const said = document.getElementById("said");
  if (said.textContent !== sentence) said.textContent = sentence;
}

// The title, the icon, and what a screen reader says, as the live part of the page has them.
let saidBefore = null;
function sayNews() {
  const live = document.getElementById("live-now");
  if (!live) return;
  document.title = live.dataset.title;
  if (saidBefore !== null && saidBefore !== live.dataset.says) say(live.dataset.says);
  saidBefore = live.dataset.says;
  const icon = document.getElementById("icon");
  icon.dataset.calm ??= icon.href;
  const wanted = Number(live.dataset.needs) ? icon.dataset.needs : icon.dataset.calm;
  if (icon.getAttribute("href") !== wanted) icon.href = wanted;
}

sayTimes();
sayNews();
setInterval(() => { if (!document.hidden) sayTimes(); }, 1000);

// The stream of the live part. A window that nobody sees has none; one that fell silent is opened again.
const SILENT_MS = 40000;
let stream = null;
let heardAt = Date.now();

function sayLost(sentence) {
  const lost = document.getElementById("lost");
  if (lost.textContent !== sentence) lost.textContent = sentence;
  lost.hidden = !sentence;
}

function openAgain() {
  heardAt = Date.now();
  stream?.reader?.cancel();
  stream?.delayCanceller?.();
}

document.addEventListener("htmx:sse:after:connection", (event) => {
  stream = event.detail.connection;
  heardAt = Date.now();
});
document.addEventListener("htmx:sse:after:message", (event) => {
  heardAt = Date.now();
  if (event.detail.message.event !== "over") sayLost("");
  // A tab that was opened in the background: the stream asks only when that changes.
  if (document.hidden) document.dispatchEvent(new Event("visibilitychange"));
  if (event.detail.message.event) return;
  sayTimes();
  sayNews();
  keepInPlace();
  followEnd();
});
document.addEventListener("htmx:sse:error", (event) => {
  sayLost(event.detail.status === 401 ? "You are signed out; load the page again to sign in." : "The connection is lost; what you see may be old.");
});
document.addEventListener("over", (event) => sayLost(event.detail.data));
document.addEventListener("visibilitychange", () => { heardAt = Date.now(); });
addEventListener("online", openAgain);
setInterval(() => { if (!document.hidden && stream && Date.now() - heardAt > SILENT_MS) openAgain(); }, 5000);

// Who reads the end of a transcript goes on reading its end. Otherwise, what a person points at, or has the focus on,
// stays where it is in the window while the page changes around it.
const LIVE = document.querySelector("#board, #now, #entries");
let atEnd = false;
let held = [];
document.addEventListener("htmx:sse:before:message", () => {
  atEnd = LIVE.id === "entries" && innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
  held = atEnd ? [] : heldNow();
});

function heldNow() {
  const focused = LIVE.contains(document.activeElement) ? document.activeElement : null;
  const pointed = matchMedia("(hover: hover)").matches ? [...LIVE.querySelectorAll(":hover")].at(-1) : null;
  const row = (pointed ?? focused)?.closest("li, tr, article, details, form, p, h2, h3, section");
  // Where the row itself goes, what followed it stays.
  return [row, row?.nextElementSibling, row?.closest("section")]
    .filter(Boolean)
    .map((element) => ({ element, top: element.getBoundingClientRect().top }));
}

function keepInPlace() {
  const kept = held.find(({ element }) => element.isConnected);
  if (!kept) return;
  const drift = () => kept.element.getBoundingClientRect().top - kept.top;
  scrollBy({ top: drift(), behavior: "instant" });
  const rest = drift();
  if (rest >= 1) {
    // The page is too short to be scrolled that far.
    document.body.style.minHeight = `${document.body.offsetHeight + rest}px`;
    scrollBy({ top: rest, behavior: "instant" });
  } else if (rest <= -1) {
    LIVE.style.paddingTop = `${Number.parseFloat(getComputedStyle(LIVE).paddingTop) - rest}px`;
  }
}

function followEnd() {
  if (atEnd) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
}

if (!location.hash && document.querySelector("#entries[hx-swap]")) {
  atEnd = true;
  followEnd();
}

function choose(step) {
  const all = [...document.querySelectorAll("a.row")];
  if (!all.length) return;
  const now = all.indexOf(document.activeElement);
  const next = all[now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + step))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function reach(action) {
  const link = document.querySelector(`a.button[href$="/${action}"]`);
  const form = document.querySelector(`form[action$="/${action}"]`);
  if (link) link.focus();
  if (link || !form) return;
  const ask = form.closest("details");
  if (ask) ask.open = true;
  form.querySelector("button").focus();
}

const ACTIONS = { a: "acknowledge", r: "retry", l: "land" };
const PAGES = { b: "/", h: "/history", m: "/report", n: "/add" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  const search = document.querySelector("input[type=search]");
  const page = document.querySelector(`header nav a[href="${PAGES[event.key]}"]`);
  if (event.key === "j") choose(1);
  else if (event.key === "k") choose(-1);
  else if (event.key === "?") document.getElementById("keys").showModal();
  else if (event.key === "/" && search) search.focus();
  else if (Object.hasOwn(ACTIONS, event.key)) reach(ACTIONS[event.key]);
  else if (Object.hasOwn(PAGES, event.key) && page) page.click();
  else return;
  event.preventDefault();
});

// Files may be dropped anywhere on the page that has a field for them: one goes into the editor, several into the field.
const field = document.querySelector("input[type=file]");
if (field) {
  const editor = document.getElementById("text");
  const put = async (files) => {
    if (files.length === 1) {
      editor.value = await files[0].text();
      field.value = "";
      say(`${files[0].name} is in the editor`);
    } else {
      field.files = files;
      say(`${files.length} files are chosen`);
    }
  };
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!brings(event) || !event.dataTransfer.files.length) return;
    event.preventDefault();
    put(event.dataTransfer.files);
  });
}

// A form that the server would refuse for its size is not sent, so that nothing that was typed is lost.
const measured = document.querySelector("form[data-most]");
if (measured) {
  const refusal = document.getElementById("too-large");
  const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  measured.addEventListener("submit", (event) => {
    const text = measured.querySelector("textarea").value.replace(/\r?\n/g, "\r\n");
    const files = [...measured.querySelector("input[type=file]").files];
    const size = new Blob([text, ...files]).size + 4096 + 512 * files.length;
    const most = Number(measured.dataset.most);
    refusal.hidden = size <= most;
    if (size <= most) return;
    refusal.textContent = `This has ${megabytes(size)}, and ${megabytes(most)} is the most. Shorten the text, or choose fewer files. Nothing was sent.`;
    event.preventDefault();
  });
}
