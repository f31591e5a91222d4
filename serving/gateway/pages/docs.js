"use strict";
// Renders /openapi.json and lets a person try every operation. No library, no other address.

const $ = (id) => document.getElementById(id);

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function operation(path, method, said, shared) {
  const whole = element("details", "", { id: said.operationId });
  const summary = element("summary");
  summary.append(element("span", method.toUpperCase(), { class: "method" }), element("code", path));
  whole.append(summary, element("p", said.summary));
  const answers = element("dl");
  for (const [status, answer] of Object.entries(said.responses))
    answers.append(element("dt", status), element("dd", answer.description));
  whole.append(answers, trial(path, method, said, [...(shared ?? []), ...(said.parameters ?? [])]));
  return whole;
}

function trial(path, method, said, parameters) {
  const form = element("form");
  const fields = parameters.map((parameter) => [parameter, field(form, said, parameter)]);
  const body = said.requestBody ? bodyFields(form, said) : null;
  form.append(element("button", "Try it", { type: "submit" }));
  const output = element("pre", "", { role: "status", hidden: "" });
  form.append(output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.hidden = false;
    output.textContent = "Asking…";
    output.textContent = await sent(path, method, fields, body).catch((error) => String(error));
  });
  return form;
}

function field(form, said, parameter) {
  const id = `${said.operationId}-${parameter.name}`;
  const text = `${parameter.name}${parameter.required ? "" : " (optional)"}${parameter.description ? `: ${parameter.description}` : ""}`;
  const input = element("input", "", { id, type: "text", autocomplete: "off", spellcheck: "false" });
  if (parameter.required) input.required = true;
  input.placeholder = parameter.example ?? parameter.schema.default ?? "";
  form.append(element("label", text, { for: id }), input);
  return input;
}

function bodyFields(form, said) {
  const text = element("textarea", "", { id: `${said.operationId}-text`, rows: "3" });
  const file = element("input", "", { id: `${said.operationId}-file`, type: "file", multiple: "" });
  form.append(element("label", "Picture (several become a form)", { for: file.id }), file);
  form.append(element("label", "or text, or JSON with instances", { for: text.id }), text);
  return { text, file };
}

async function sent(path, method, fields, body) {
  const query = new URLSearchParams();
  const headers = {};
  let target = path;
  for (const [{ name, in: place }, { value }] of fields) {
    if (!value) continue;
    if (place === "path") target = target.replace(`{${name}}`, encodeURIComponent(value));
    else if (place === "query") query.set(name, value);
    else headers[name] = value;
  }
  if ($("key").value) headers.Authorization = `Bearer ${$("key").value}`;
  const options = { method: method.toUpperCase(), headers, body: body ? content(body, headers) : undefined };
  const answer = await fetch(`${target}${query.size ? `?${query}` : ""}`, options);
  const text = await answer.text();
  const lines = ["x-request-id", "retry-after", "content-type"]
    .filter((name) => answer.headers.has(name))
    .map((name) => `${name}: ${answer.headers.get(name)}`);
  return [`${answer.status} ${answer.statusText}`, ...lines, "", pretty(text)].join("\n");
}

function content({ text, file }, headers) {
  const files = [...file.files];
  if (files.length > 1) {
    const form = new FormData();
    for (const each of files) form.append("file", each);
    return form;
  }
  if (files.length) {
    headers["Content-Type"] = files[0].type || "application/octet-stream";
    return files[0];
  }
  headers["Content-Type"] = /^\s*\{/.test(text.value) ? "application/json" : "text/plain; charset=utf-8";
  return text.value;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

function schema(name, said) {
  const whole = element("details", "", { id: `schema-${name}` });
  whole.append(element("summary", name), element("p", said.description ?? ""));
  whole.append(element("pre", JSON.stringify(said.properties ?? said, null, 1)));
  return whole;
}

async function render() {
  const said = await (await fetch("/openapi.json")).json();
  for (const [path, item] of Object.entries(said.paths))
    for (const method of ["get", "post"])
      if (item[method]) $("list").append(operation(path, method, item[method], item.parameters));
  for (const [name, { status, meaning }] of Object.entries(said["x-problems"]))
    $("problems").append(element("dt", `${status} ${name}`, { id: name }), element("dd", meaning));
  for (const [name, each] of Object.entries(said.components.schemas)) $("schemas").append(schema(name, each));
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}

render().catch(() => $("list").append(element("p", "The description could not be loaded; is the server running?")));
