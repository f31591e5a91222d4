"use strict";
// The page for people: choose a model, give it a photo or a text, see what it says and how sure it is.
// Everything is asked of the same address; every text is set as text, never as markup.

const $ = (id) => document.getElementById(id);
const KINDS = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const MOST_SHOWN = 12;
const models = new Map();

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if ($("key").value) headers.Authorization = `Bearer ${$("key").value}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  if (answer.status === 401) $("key-row").hidden = false;
  throw new Error(inWords(answer, found));
}

function inWords(answer, problem) {
  const wait = Number(answer.headers.get("Retry-After") || 1);
  const words = {
    401: "This server wants an API key: type it in above and try again.",
    408: "Sending took too long. Try again, or with a smaller file.",
    409: "Nobody has told this model's labels yet, so it cannot be asked here.",
    413: "That is too large a file for this server.",
    429: `That was too quick. Try again in ${wait} s.`,
    503: `The server is busy or starting. Try again in ${wait} s.`,
    504: "The answer did not come in time. Try again.",
  };
  const detail = problem.detail ? `${problem.detail[0].toUpperCase()}${problem.detail.slice(1)}.` : "";
  return [words[answer.status], detail].filter(Boolean).join(" ") || `The server answered ${answer.status}.`;
}

async function loadModels() {
  let listing;
  try {
    listing = (await ask("/v1/models")).models;
  } catch (error) {
    return complain(error.message);
  }
  complain("");
  models.clear();
  const choice = $("model");
  const before = choice.value;
  choice.replaceChildren();
  for (const model of listing) {
    models.set(model.name, model);
    if (model.task) choice.append(element("option", model.name, { value: model.name }));
  }
  if (!choice.options.length) choice.append(element("option", "No model with a card yet", { value: "" }));
  else if (models.get(before)) choice.value = before;
  showForm();
  await showCards(listing);
  showForm();
}

function showForm() {
  const task = models.get($("model").value)?.task;
  $("for-pictures").hidden = task !== "image_classification";
  $("for-texts").hidden = task !== "text_classification";
  const columns = models.get($("model").value)?.card?.input?.columns;
  $("for-rows").hidden = task !== "tabular" || !columns;
  if (columns) $("columns").replaceChildren(...columns.map(column));
}

function column({ name, low, high }) {
  const field = element("label", name);
  const middle = Number(((low + high) / 2).toPrecision(4));
  const range = `${Number(low.toPrecision(4))} to ${Number(high.toPrecision(4))} in training`;
  field.append(element("input", "", { type: "number", step: "any", required: "", name, value: middle }));
  field.append(element("span", range, { class: "quiet" }));
  return field;
}

function complain(text) {
  $("problem").textContent = text;
}

async function classify(body, type, show) {
  const query = show.url ? "?view=true" : "";
  const model = $("model").value;
  complain("");
  $("busy").textContent = "Asking…";
  try {
    const path = `/v1/models/${encodeURIComponent(model)}/classify${query}`;
    const answer = await ask(path, { method: "POST", body, headers: { "Content-Type": type } });
    await showAnswer(answer);
    remember(answer, show);
  } catch (error) {
    complain(error.message);
    return;
  } finally {
    $("busy").textContent = "";
  }
}

async function takePictures(files) {
  for (const file of files) {
    if (!KINDS.includes(file.type)) {
      complain(`${file.name || "That"} is not a photo: choose JPEG, PNG, WebP or GIF.`);
      continue;
    }
    await classify(file, file.type, { url: URL.createObjectURL(file), name: file.name || "pasted photo" });
  }
}

async function showView({ view }) {
  $("seen").hidden = !view;
  if (!view) return;
  const picture = $("pixels");
  picture.src = `data:image/png;base64,${view}`;
  await picture.decode().catch(() => undefined);
  $("seen-size").textContent = `What the model sees: ${picture.naturalWidth} × ${picture.naturalHeight} pixels`;
}

async function showAnswer(answer) {
  const [prediction] = answer.predictions;
  await showView(prediction);
  $("best").textContent = said(prediction);
  $("bars").replaceChildren(...(prediction.top ?? []).map(bar));
  const time = answer.timing_ms;
  const facts = [
    ["Model", `${answer.model}, version ${answer.version}`],
    ["Time", `${time.total} ms: decoding ${time.decode}, waiting ${time.queue}, predicting ${time.predict}`],
    ["Request", answer.request_id],
  ];
  const strange = prediction.anomaly;
  if (strange) facts.splice(1, 0, ["Strangeness", `${strange.score.toFixed(3)}, flagged above ${strange.threshold.toFixed(3)}`]);
  $("strange").hidden = !strange?.flagged;
  $("facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  $("answer").hidden = false;
  $("answer-title").focus({ preventScroll: false });
}

function said({ value, label, probability }) {
  return value === undefined ? `${label}, ${percent(probability)}` : String(value);
}

function bar({ label, probability }) {
  const line = element("li");
  const track = element("div", "", { class: "bar", "aria-hidden": "true" });
  const fill = element("span");
  fill.style.width = percent(probability).replace(" ", "");
  track.append(fill);
  line.append(element("span", label), track, element("span", percent(probability), { class: "number" }));
  return line;
}

function remember(answer, show) {
  const [prediction] = answer.predictions;
  const entry = element("li");
  if (show.url) entry.append(element("img", "", { src: show.url, alt: show.name }));
  else entry.append(element("q", show.text.slice(0, 80)));
  entry.append(element("strong", prediction.label ?? String(prediction.value)));
  if (prediction.label) entry.append(element("div", percent(prediction.probability)));
  if (prediction.anomaly?.flagged) entry.append(element("div", "unusual", { class: "warning" }));
  entry.append(element("div", answer.model, { class: "quiet" }));
  $("strip").prepend(entry);
  while ($("strip").children.length > MOST_SHOWN) {
    const last = $("strip").lastElementChild;
    URL.revokeObjectURL(last.querySelector("img")?.src ?? "");
    last.remove();
  }
  $("history").hidden = false;
}

async function showCards(listing) {
  const cards = await Promise.all(
    listing.map((model) => ask(`/v1/models/${encodeURIComponent(model.name)}`).catch(() => null)),
  );
  $("cards").replaceChildren(
    ...listing.map((model, place) => {
      model.card = cards[place]?.card ?? null;
      return card(model, cards[place]);
    }),
  );
}

function card(model, found) {
  const whole = element("details");
  whole.append(element("summary", `${model.name}${found?.version ? `, version ${found.version}` : ""}`));
  const versions = model.versions.map((each) => `${each.version} ${each.state.toLowerCase()}`).join(", ");
  const facts = [["Versions", versions || "none"]];
  const said = model.card;
  if (!said) facts.push(["Card", "none: it is served over gRPC and REST only"]);
  else facts.push(...aboutCard(said));
  const list = element("dl");
  for (const [name, value] of facts) if (value) list.append(element("dt", name), element("dd", String(value)));
  whole.append(list);
  if (said?.quality?.confusion?.length) whole.append(confusion(said));
  return whole;
}

function aboutCard(said) {
  const quality = said.quality;
  const rows = [
    ["Task", said.task.replace("_", " ")],
    ["Labels", said.labels.join(", ")],
    ["Learned from", `${said.dataset.name}, ${said.dataset.train} examples`],
    ["Created", said.created],
    ["Licence", said.licence],
    ["Limits", said.limits],
  ];
  if (quality) {
    rows.push(["Accuracy", `${percent(quality.accuracy)} of ${quality.examples} test examples`]);
    rows.push(["Macro F1", quality.macro_f1.toFixed(3)]);
    rows.push(["Log loss", quality.log_loss.toFixed(3)]);
    rows.push(["Calibration error", quality.calibration_error.toFixed(3)]);
  }
  if (said.regression) {
    rows.push(["Mean absolute error", `${said.regression.mae.toPrecision(4)} on ${said.regression.examples} test examples`]);
    rows.push(["R2", said.regression.r2.toFixed(4)]);
  }
  if (said.anomaly_threshold != null) rows.push(["Flagged as unusual", `above a score of ${said.anomaly_threshold.toFixed(3)}`]);
  return rows;
}

function confusion({ labels, quality }) {
  const table = element("table");
  table.append(element("caption", "Test examples: rows are the truth, columns the answer"));
  const head = element("tr");
  head.append(element("td"), ...labels.map((label) => element("th", label, { scope: "col" })));
  table.append(head);
  quality.confusion.forEach((counts, place) => {
    const row = element("tr");
    row.append(element("th", labels[place], { scope: "row" }), ...counts.map((count) => element("td", String(count))));
    table.append(row);
  });
  const frame = element("div", "", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusion matrix" });
  frame.append(table);
  return frame;
}

function pasted(event) {
  const text = event.clipboardData?.getData("text/plain");
  if (text && !$("for-texts").hidden && !event.target.closest?.("input, textarea")) {
    event.preventDefault();
    $("text").value = text;
    $("text").focus();
    return;
  }
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length || $("for-pictures").hidden) return;
  event.preventDefault();
  takePictures(files);
}

$("model").addEventListener("change", showForm);
$("key").addEventListener("change", loadModels);
$("file").addEventListener("change", () => takePictures([...$("file").files]).then(() => ($("file").value = "")));
$("for-texts").addEventListener("submit", (event) => {
  event.preventDefault();
  classify($("text").value, "text/plain; charset=utf-8", { text: $("text").value });
});
$("for-rows").addEventListener("submit", (event) => {
  event.preventDefault();
  const row = Object.fromEntries([...new FormData($("for-rows"))].map(([name, value]) => [name, Number(value)]));
  const text = Object.entries(row).map(([name, value]) => `${name} ${value}`).join(", ");
  classify(JSON.stringify({ instances: [row] }), "application/json", { text });
});
for (const name of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") takePictures([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", pasted);
loadModels();
