"use strict";
// Times in the reader's zone, the keys, the title and icon of what is live. The page works without it.

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

function sayNeeds() {
  const live = document.getElementById("board-title");
  if (!live) return;
  const icon = document.getElementById("icon");
  icon.dataset.calm ??= icon.href;
  const needs = Number(live.dataset.needs);
  const wanted = needs ? icon.dataset.needs : icon.dataset.calm;
  if (icon.getAttribute("href") !== wanted) icon.href = wanted;
  document.title = live.dataset.title;
  const said = document.getElementById("said");
  const sentence = needs === 1 ? "One thing needs you" : needs ? `${needs} things need you` : "Nothing needs you";
  if (said.textContent !== sentence) said.textContent = sentence;
}

function rows() {
  return [...document.querySelectorAll("a.row")];
}

function choose(step) {
  const all = rows();
  if (!all.length) return;
  const now = all.indexOf(document.activeElement);
  const next = all[now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + step))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function reach(action) {
  const form = document.querySelector(`form[action$="/${action}"]`);
  if (!form) return;
  const ask = form.closest("details");
  if (ask) ask.open = true;
  form.querySelector("button").focus();
}

const ACTIONS = { a: "acknowledge", r: "retry", l: "land" };
const PAGES = { b: "/", h: "/history", m: "/report", n: "/add" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  if (event.key === "j") choose(1);
  else if (event.key === "k") choose(-1);
  else if (event.key === "?") document.getElementById("keys").showModal();
  else if (event.key === "/" && document.querySelector("input[type=search]")) document.querySelector("input[type=search]").focus();
  else if (Object.hasOwn(ACTIONS, event.key)) reach(ACTIONS[event.key]);
  else if (Object.hasOwn(PAGES, event.key)) location.assign(PAGES[event.key]);
  else return;
  event.preventDefault();
});

document.addEventListener("htmx:sse:after:message", () => { sayTimes(); sayNeeds(); });
setInterval(() => { if (!document.hidden) sayTimes(); }, 1000);
sayTimes();
sayNeeds();

for (const field of document.querySelectorAll("[data-drop]")) {
  field.addEventListener("dragover", (event) => { event.preventDefault(); field.classList.add("dropping"); });
  field.addEventListener("dragleave", () => field.classList.remove("dropping"));
  field.addEventListener("drop", async (event) => {
    const file = event.dataTransfer.files[0];
    field.classList.remove("dropping");
    if (!file) return;
    event.preventDefault();
    field.value = await file.text();
    document.getElementById("said").textContent = `${file.name} is in the editor`;
  });
}
