"use strict";
/* One page of photographs at a time. The server holds every decision; this page shows it before the server answers,
   and takes it back if the server refuses. */

const TOKEN = location.pathname.split("/")[1];
const WORDS = { all: "All", keep: "Kept", reject: "Rejected" };
const MARKS = { keep: "\u2713", reject: "\u2715" };
const TOAST_MILLISECONDS = 3500;
const UPLOAD_MILLISECONDS = 2000;
const RELOADED = performance.getEntriesByType("navigation")[0]?.type === "reload";
const SESSION = (RELOADED && history.state) || crypto.randomUUID(); // undo goes by window; a copied one is another

const $ = (id) => document.getElementById(id);
const state = { show: "all", undecided: false, photos: [], first: 0, total: 0, current: 0, summary: null };
let posts = Promise.resolve(); // decisions reach the server in the order in which they were made
let loads = 0;
let toastTimer = 0;
let uploadTimer = 0;

/* ---- small helpers ---- */

function make(tag, settings = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name.startsWith("data-") || name.startsWith("aria-")) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

function makeSvg(tag, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

const readable = (name) => WORDS[name] || name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
const copiesOf = (photo) => (photo.copy_count === 1 ? "1 copy" : `${number(photo.copy_count)} copies`);
const number = (value) => value.toLocaleString("en");

function toast(words) {
  clearTimeout(toastTimer);
  $("toast").textContent = words;
  $("toast").classList.add("shown");
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), TOAST_MILLISECONDS);
}

async function ask(path, body) {
  const options = { cache: "no-store" };
  if (body) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json", "X-Review-Token": TOKEN };
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    trouble("The server does not answer: decisions are no longer stored. Start rssn review again and open its new address.");
    throw new Error("the server does not answer");
  }
  const value = await answer.json();
  if (answer.status === 503) trouble(value.error); // the decisions cannot be reached: the message stays
  if (!answer.ok) throw new Error(value.error);
  follow(value.upload);
  return value;
}

/* Of a set in a bucket: what is in the way of the decisions' upload, until all are there. */
function follow(upload) {
  trouble(upload?.problem || "");
  clearTimeout(uploadTimer);
  if (upload?.waiting) uploadTimer = setTimeout(() => ask("upload").catch(() => {}), UPLOAD_MILLISECONDS);
}

function trouble(words) {
  $("trouble").textContent = words;
  $("trouble").hidden = !words;
}

/* ---- loading and paging ---- */

async function load(start, { backwards = false, select = "first" } = {}) {
  const ticket = ++loads;
  await posts;
  const query = new URLSearchParams({ show: state.show, undecided: state.undecided ? "1" : "0", start });
  if (backwards) query.set("backwards", "1");
  let page;
  try {
    page = await ask(`photos?${query}`);
  } catch (error) {
    toast(error.message);
    return;
  }
  if (ticket !== loads) return; // another page was asked for meanwhile
  state.photos = page.photos;
  state.first = page.first;
  state.total = page.total;
  document.title = `Review of ${page.name}`;
  $("name").textContent = page.name;
  summarize(page.summary);
  drawPage();
  state.current = select === "last" ? Math.max(0, state.photos.length - 1) : 0;
  scrollTo(0, 0);
  focusCurrent();
  remember();
}

const hasNext = () => state.photos.length > 0 && state.first + state.photos.length < state.total;

function nextPage() {
  const last = state.photos.at(-1);
  if (last && (hasNext() || state.undecided)) return load(last.number + 1);
  toast("This is the last page.");
}

function previousPage(select) {
  if (state.first > 0) return load(state.photos.length ? state.photos[0].number : 1e8, { backwards: true, select });
  toast("This is the first page.");
}

function remember() {
  const start = state.photos.length ? state.photos[0].number : 0;
  history.replaceState(SESSION, "", `#${new URLSearchParams({ show: state.show, undecided: +state.undecided, start })}`);
}

function setFilter(show) {
  state.show = show;
  return load(0);
}

/* ---- drawing ---- */

function summarize(summary) {
  state.summary = summary;
  if (!$("filters").children.length) $("filters").append(...summary.filters.map(drawFilter));
  summary.filters.forEach((filter, index) => { // in place: a click may be half done
    const button = $("filters").children[index];
    button.setAttribute("aria-pressed", filter.name === state.show);
    button.querySelector(".count").textContent = number(filter.count);
  });
  const shown = summary.filters.find((filter) => filter.name === state.show) || { count: 0, decided: 0 };
  setBar("shown", shown.decided, shown.count, "decided of these");
  setBar("all", summary.decided, summary.all, "of all");
  showModel(summary.model);
}

/* What the model of the decisions knows; there is none before the 50th. */
function showModel(model) {
  $("model").hidden = !model || !model.open;
  if ($("model").hidden) return;
  const goal = "until the rest is expected to be right in 99 of 100";
  $("model-words").textContent = model.left
    ? `${number(model.left)} left to decide ${goal}.`
    : `Enough is known: decided by the model, the rest is expected to be wrong in ${(100 * model.error).toFixed(1)} % of all.`;
  $("learnt").setAttribute("aria-pressed", state.show === "learnt");
  $("rest").disabled = model.left > 0;
  $("rest").textContent = `Decide the clear rest (${number(model.open)})`;
}

function drawFilter(filter, index) {
  const key = index < 9 ? make("kbd", {}, String(index + 1)) : "";
  const count = make("span", { className: "count" });
  const settings = { type: "button", title: filter.words, "data-filter": filter.name };
  return make("button", settings, readable(filter.name), " ", count, key);
}

function setBar(name, decided, count, words) {
  $(`${name}-bar`).max = Math.max(count, 1);
  $(`${name}-bar`).value = decided;
  $(`${name}-words`).textContent = `${number(decided)} of ${number(count)} ${words}`;
}

function drawPage() {
  $("grid").replaceChildren(...state.photos.map(drawTile));
  $("grid").classList.toggle("pairs", state.photos.every((photo) => photo.keeper));
  $("empty").hidden = state.photos.length > 0;
  const last = state.first + state.photos.length;
  $("place").textContent = state.photos.length
    ? `${number(state.first + 1)} to ${number(last)} of ${number(state.total)}` : "";
  $("back").disabled = state.first === 0;
  $("next").disabled = !hasNext();
  $("accept").disabled = !state.photos.length;
  $("undecided").checked = state.undecided;
}

function drawTile(photo, index) {
  const tile = make("li", { className: "tile", tabIndex: -1 });
  tile.dataset.number = photo.number;
  const pictures = make("div", { className: "pictures" }, drawFigure(photo, "thumbnail"));
  if (photo.keeper) {
    tile.classList.add("pair");
    pictures.append(drawFigure(photo.keeper, "thumbnail"));
  }
  const words = make("div", { className: "words" }, make("span", { className: "state" }),
    make("span", { title: photo.message }, photo.message), make("span", { title: photo.source }, photo.source));
  const actions = make("div", { className: "actions" }, ...["keep", "reject"].map((choice) =>
    make("button", { type: "button", tabIndex: -1, "data-choice": choice, "aria-label": choice }, MARKS[choice])));
  tile.append(pictures, make("div", { className: "below" }, words, actions));
  tile.addEventListener("focus", () => { state.current = index; rove(); });
  showState(tile, photo);
  return tile;
}

function drawFigure(photo, kind) {
  const figure = make("figure");
  const image = make("img", { loading: kind === "thumbnail" ? "lazy" : "eager", decoding: "async", alt: photo.source });
  image.addEventListener("error", () => image.replaceWith(make("span", { className: "missing" }, "no picture")));
  image.addEventListener("load", () => drawBoxes(figure, image, photo.boxes || [], kind));
  image.src = `${kind}/${photo.number}`;
  figure.append(image);
  return figure;
}

function drawBoxes(figure, image, boxes, kind) {
  if (!boxes.length) return;
  const [w, h] = [image.naturalWidth, image.naturalHeight];
  const size = Math.max(w, h) / (kind === "thumbnail" ? 24 : 60);
  const svg = makeSvg("svg", { viewBox: `0 0 ${w} ${h}`, "aria-hidden": "true" });
  const taken = [];
  for (const box of boxes) {
    const opacity = Math.max(0.35, Math.min(1, 2 * box.confidence)); // what can decide nothing stands back
    svg.append(makeSvg("rect", { opacity, x: box.x * w, y: box.y * h, width: box.width * w, height: box.height * h }));
    const place = { x: box.x * w + size / 4, y: box.y * h > 1.3 * size ? box.y * h - size / 3 : box.y * h + size };
    const hides = ({ x, y }) => Math.abs(x - place.x) < 5 * size && Math.abs(y - place.y) < 1.1 * size;
    for (let tries = 0; tries < 2 && taken.some(hides); tries++) place.y += 1.2 * size;
    if (taken.some(hides)) continue; // a crowd: frames without words
    taken.push(place);
    const label = `${box.label} ${box.confidence.toFixed(2)}`;
    svg.append(makeSvg("text", { ...place, opacity, "font-size": size, "stroke-width": size / 6 }, label));
  }
  figure.append(svg);
}

function stateWords(photo) {
  const decided = photo.by === "model" ? `The model: ${photo.choice}` : `You ${photo.choice} it`;
  const words = photo.choice ? decided : readable(photo.reason);
  return `${MARKS[isKept(photo) ? "keep" : "reject"]} ${words}`;
}

const isKept = (photo) => (photo.choice ? photo.choice === "keep" : photo.keep);

function showState(tile, photo) {
  tile.classList.toggle("chose-keep", photo.choice === "keep");
  tile.classList.toggle("chose-reject", photo.choice === "reject");
  const label = `${stateWords(photo).slice(2)}: ${photo.source}. ${photo.message}`;
  tile.setAttribute("aria-label", photo.copy_count ? `${label}. ${copiesOf(photo)}` : label);
  showWords(tile.querySelector(".state"), photo);
  if (photo.keeper) captionPair(tile.querySelectorAll("figure"), photo);
  pressButtons(tile, photo);
}

function showWords(node, photo) {
  node.textContent = stateWords(photo) + (photo.copy_count ? ` \u00b7 ${copiesOf(photo)}` : "");
  node.className = `state ${isKept(photo) ? "keep" : "reject"}`;
}

function captionPair(figures, photo) {
  const judged = photo.keeper.choice ? "you reject it" : `judged instead: ${readable(photo.keeper.reason)}`;
  const other = isKept(photo.keeper) ? "kept instead" : judged;
  [...figures].forEach((figure, index) => {
    figure.querySelector("figcaption")?.remove();
    figure.append(make("figcaption", {}, index ? other : "this one"));
  });
}

function pressButtons(node, photo) {
  for (const button of node.querySelectorAll("[data-choice]")) {
    button.setAttribute("aria-pressed", photo.choice === button.dataset.choice);
    button.disabled = button.dataset.choice === "keep" && Boolean(photo.refusal);
    button.title = button.disabled ? photo.refusal : "";
  }
}

/* ---- moving ---- */

const tiles = () => [...$("grid").children];
const current = () => state.photos[state.current];

function rove() {
  tiles().forEach((tile, index) => { tile.tabIndex = index === state.current ? 0 : -1; });
}

function focusCurrent() {
  rove();
  if (!$("large").open) tiles()[state.current]?.focus();
}

function move(step) {
  const target = state.current + step;
  if (target >= state.photos.length) return nextPage();
  if (target < 0) return previousPage("last");
  select(target);
}

function select(index) {
  state.current = index;
  focusCurrent();
  if ($("large").open) drawLarge();
}

function moveVertically(sign) {
  const boxes = tiles().map((tile) => tile.getBoundingClientRect());
  const from = boxes[state.current];
  if (!from) return;
  const middle = from.left + from.width / 2;
  const rows = boxes.map((box, index) => ({ box, index })).filter(({ box }) => sign * (box.top - from.top) > 4);
  if (!rows.length) return sign > 0 ? nextPage() : previousPage("last");
  const top = sign * Math.min(...rows.map(({ box }) => sign * box.top));
  const near = rows.filter(({ box }) => Math.abs(box.top - top) < 4)
    .map(({ box, index }) => ({ index, distance: Math.abs(box.left + box.width / 2 - middle) }));
  select(near.reduce((best, one) => (one.distance < best.distance ? one : best)).index);
}

/* ---- deciding ---- */

function decide(choice, { copies = false } = {}) {
  const photo = current();
  if (!photo) return;
  if (choice === "keep" && photo.refusal) return toast(`${photo.source}: ${photo.refusal}.`);
  const standIn = choice === "reject" && photo.keep && photo.copy_count && !copies;
  store([[photo, choice]], { copies });
  if (standIn) toast("Its best copy is kept instead. Shift R rejects the copies too.");
  if (state.current + 1 < state.photos.length) select(state.current + 1);
  else if (!standIn) toast("End of the page; the right arrow key opens the next one.");
  if ($("large").open) drawLarge();
}

function acceptRest() {
  const open = state.photos.filter((photo) => !photo.choice).map((photo) => [photo, photo.keep ? "keep" : "reject"]);
  if (open.length) {
    toast(`${open.length} confirmed.`);
    store(open, { only_undecided: true });
  }
  nextPage();
}

function store(choices, settings) {
  const before = choices.map(([photo]) => [photo.number, photo.choice]);
  apply(choices.map(([photo, choice]) => [photo.number, choice]));
  const decisions = choices.map(([photo, choice]) => ({ number: photo.number, choice }));
  posts = posts.then(() => ask("decide", { decisions, ...settings, session: SESSION, show: state.show }))
    .then((answer) => {
      settle(answer);
      const others = decisions.filter(({ number: one, choice }) => answer.changed[one] !== choice).length;
      if (others) toast(`${others} were decided differently in another window meanwhile; those decisions stay.`);
    }, (error) => { apply(before); toast(`Not stored: ${error.message}`); });
}

function decideRest() {
  posts = posts.then(() => ask("rest", { session: SESSION, show: state.show })).then((answer) => {
    toast(`${number(Object.keys(answer.changed).length)} decided by the model; U undoes it.`);
    setTimeout(() => { state.show = "all"; load(0); }); // after this step: load waits for the posts
  }, (error) => toast(`Not stored: ${error.message}`));
}

function undo() {
  posts = posts.then(() => ask("undo", { session: SESSION, show: state.show })).then((answer) => {
    settle(answer);
    const numbers = Object.keys(answer.changed).map(Number);
    if (!numbers.length) return toast("There is nothing to undo.");
    toast(numbers.length > 1 ? `${numbers.length} decisions undone.` : "Undone.");
    const index = state.photos.findIndex((photo) => photo.number === numbers[0]);
    if (index >= 0) return select(index);
    setTimeout(() => { state.show = "all"; load(numbers[0]); }); // after this step: load waits for the posts
  }, (error) => {
    toast(`Not undone: ${error.message}`);
    setTimeout(() => load(state.photos[0]?.number ?? 0)); // shows what another window decided
  });
}

function settle(answer) {
  apply(Object.entries(answer.changed).map(([key, choice]) => [Number(key), choice]));
  summarize(answer.summary);
}

function apply(changes) {
  const choices = new Map(changes);
  state.photos.forEach((photo, index) => {
    for (const one of [photo, photo.keeper, ...photo.copies]) {
      if (one && choices.has(one.number)) Object.assign(one, { choice: choices.get(one.number), by: "person" });
    }
    showState(tiles()[index], photo);
  });
  if ($("large").open) showLargeState();
}

/* ---- the large view ---- */

function enlarge() {
  if (!current()) return;
  if ($("large").open) return $("large").close();
  $("large").showModal();
  $("large").focus(); // rather than its first button, which Enter would press
  drawLarge();
}

function drawLarge() {
  const photo = current();
  $("large-name").textContent = photo.source;
  $("large-words").textContent = photo.refusal || photo.message;
  $("large-pictures").replaceChildren(drawFigure(photo, "picture"));
  if (photo.keeper) $("large-pictures").append(drawFigure(photo.keeper, "picture"));
  const copies = photo.copies.map((copy) => make("img", { src: `thumbnail/${copy.number}`, alt: copy.source, title: copy.source }));
  const more = photo.copy_count > copies.length ? ` and ${photo.copy_count - copies.length} more` : "";
  $("large-copies").replaceChildren(...(copies.length ? ["Copies:", ...copies, more] : []));
  showLargeState();
  const next = state.photos[state.current + 1];
  if (next) new Image().src = `picture/${next.number}`;
}

function showLargeState() {
  const photo = current();
  showWords($("large-state"), photo);
  if (photo.keeper) captionPair($("large-pictures").children, photo);
  pressButtons($("large"), photo);
}

/* ---- keys and clicks ---- */

const KEYS = {
  k: () => decide("keep"), r: () => decide("reject"), R: () => decide("reject", { copies: true }),
  u: undo, a: acceptRest, j: () => move(-1), l: () => move(1),
  ArrowLeft: () => move(-1), ArrowRight: () => move(1), ArrowUp: () => moveVertically(-1), ArrowDown: () => moveVertically(1),
  PageDown: nextPage, PageUp: () => previousPage("first"), Enter: enlarge,
  Home: () => select(0), End: () => select(Math.max(0, state.photos.length - 1)),
  m: () => { if (!$("model").hidden) setFilter("learnt"); },
  0: toggleUndecided, "?": () => $("keys").showModal(),
};

function toggleUndecided() {
  state.undecided = !state.undecided;
  return load(0);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  if (event.target.closest("button, input") && ["Enter", " "].includes(event.key)) return;
  const filter = /^[1-9]$/.test(event.key) && state.summary?.filters[event.key - 1];
  const key = event.shiftKey || event.key.length > 1 ? event.key : event.key.toLowerCase();
  const action = filter ? () => setFilter(filter.name) : KEYS[key];
  if (!action) return;
  event.preventDefault();
  if (!event.repeat || /^(Arrow|j|l)/.test(key)) action();
}

function onClick(event) {
  const tile = event.target.closest(".tile");
  const choice = event.target.closest("[data-choice]")?.dataset.choice;
  const filter = event.target.closest("[data-filter]")?.dataset.filter;
  if (tile) state.current = tiles().indexOf(tile);
  if (choice) decide(choice);
  else if (filter) setFilter(filter);
  else if (tile) { focusCurrent(); if (event.target.closest(".pictures")) enlarge(); }
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
$("back").addEventListener("click", () => previousPage("first"));
$("next").addEventListener("click", nextPage);
$("accept").addEventListener("click", acceptRest);
$("rest").addEventListener("click", decideRest);
$("undo").addEventListener("click", undo);
$("help").addEventListener("click", () => $("keys").showModal());
$("undecided").addEventListener("change", toggleUndecided);
$("large-close").addEventListener("click", () => $("large").close());
$("large").addEventListener("close", focusCurrent);

const remembered = new URLSearchParams(location.hash.slice(1));
state.show = remembered.get("show") || "all";
state.undecided = remembered.get("undecided") === "1";
load(Number(remembered.get("start")) || 0);
