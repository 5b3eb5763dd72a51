// The operations page on the admin listener: models, calibrations, a job from upload to activation. The token stays in this tab's memory; every
// refusal is shown in the server's words.
import { show, table, whole } from "./charts.js";

const at = (id) => document.getElementById(id);
let token = "", generation = null, job = null;

function problem(text) {
  at("problem").hidden = !text;
  at("problem").textContent = text ?? "";
}

async function call(path, method = "GET", body = undefined, headers = {}) {
  let reply;
  try {
    reply = await fetch(path, { method, body, headers: { Authorization: `Bearer ${token}`, ...headers } });
  } catch {
    throw new Error("The server cannot be reached. Is it still running?");
  }
  const answer = await reply.json().catch(() => ({}));
  if (reply.ok) return { answer, tag: reply.headers.get("ETag") };
  if (reply.status === 412) throw new Error("Somebody else changed the calibration meanwhile. Look at the list, then try again.");
  throw new Error(answer.detail ?? answer.error ?? `${reply.status} ${reply.statusText}`);
}

/** Run what a person asked for; say what went wrong. */
async function attempt(what) {
  try {
    problem(null);
    return await what();
  } catch (error) {
    problem(error.message);
    return undefined;
  }
}

const modelPath = (rest) => `/v1/models/${encodeURIComponent(at("model").value)}/${rest}`;

function button(text, label, action) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.setAttribute("aria-label", label);
  element.addEventListener("click", () => attempt(action));
  return element;
}

async function showModels() {
  const { answer: models } = await call("/v2/repository/index", "POST");
  const rows = models.map((m) => {
    const ready = m.state === "READY";
    const actions = document.createElement("span");
    actions.className = "row";
    for (const name of ready ? ["load", "unload"] : ["load"])
      actions.append(button(name, `${name} ${m.name}`, async () => {
        await call(`/v1/models/${encodeURIComponent(m.name)}/${name}`, "POST");
        await refresh();
      }));
    return [m.name, ready ? "served" : m.reason ? `not served: ${m.reason}` : "not served", actions];
  });
  at("models").replaceChildren(table(["model", "state", "actions"], rows, "Models in the model folder"));
  const before = at("model").value, served = models.filter((m) => m.state === "READY").map((m) => m.name);
  at("model").replaceChildren(...served.map((name) => new Option(name, name)));
  if (served.includes(before)) at("model").value = before;
}

const tablesText = (tables) => tables.map((t) => `${t.neuron} ${t.init} T=${t.timesteps}`).join(", ") || "none";

async function activate(id) {
  await call(modelPath("calibration"), "PUT", JSON.stringify({ id }), { "Content-Type": "application/json", "If-Match": generation });
  await showCalibrations();
}

async function showCalibrations() {
  if (!at("model").value) return;
  const { answer: now, tag } = await call(modelPath("calibration"));
  const { answer: { calibrations } } = await call(modelPath("calibrations"));
  generation = tag;
  at("in-force").textContent = now.id
    ? `In force: ${now.name}, generation ${now.generation}. Tables: ${tablesText(now.tables)}.`
    : `In force: what the model file itself recommends (generation ${now.generation}).`;
  at("own").disabled = !now.id;
  const rows = calibrations.map((c) => [c.id.slice(0, 12), c.usable ? tablesText(c.tables) : `unusable: ${c.reason}`, c.generations.join(", ") || "never",
    c.in_force ? "in force" : c.usable ? button("activate", `activate ${c.id.slice(0, 12)}`, () => activate(c.id)) : ""]);
  at("calibrations").replaceChildren(table(["calibration", "tables", "generations", ""], rows, "Calibrations kept, the last used first"));
}

async function refresh() {
  await showModels();
  await showCalibrations();
}

/** POST the form with upload progress, which fetch does not tell. */
function upload(form) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", modelPath("calibrations"));
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => progress("uploading", event.loaded, event.total));
    request.addEventListener("load", () => (request.status === 202 ? done(request.response)
      : failed(new Error(request.response?.detail ?? `${request.status} ${request.statusText}`))));
    request.addEventListener("error", () => failed(new Error("The upload broke off: the server cannot be reached.")));
    request.send(form);
  });
}

function progress(phase, done, total) {
  at("progress").hidden = !phase;
  at("progress").max = total || 1;
  at("progress").value = done;
  at("phase").textContent = phase ? `${phase}: ${whole(done)} of ${whole(total)}` : "";
}

function chosenFiles() {
  const files = [...at("folder").files, ...at("files").files].filter((f) => /\.png$/i.test(f.name));
  if (!files.length) throw new Error("Choose a folder of PNGs, or PNG pictures.");
  return files;
}

/** LABEL/name.png where the picture lies in a folder of a folder. */
function nameOf(file) {
  const parts = (file.webkitRelativePath || file.name).split("/");
  return parts.length > 2 ? parts.slice(-2).join("/") : parts.at(-1);
}

function formOf() {
  const form = new FormData();
  form.append("options", new Blob([JSON.stringify({
    method: at("method").value, timesteps: at("timesteps").value.split(/[\s,]+/).filter(Boolean).map(Number), granularity: at("granularity").value,
    holdout: Number(at("holdout").value), min_gain: Number(at("min-gain").value), activate: at("activate").checked,
  })], { type: "application/json" }));
  for (const file of chosenFiles()) form.append("image", file, nameOf(file));
  return form;
}

const points = (v) => (v === null || v === undefined ? "" : `${v.toFixed(1)} %`);

function showResult(done) {
  const { result } = done, labelled = result.pictures.labelled, measure = labelled ? "accuracy" : "agreement";
  const [low, high] = result.gain?.interval_95 ?? [];
  at("result").hidden = false;
  at("conclusion").textContent = (result.activated ? `Activated as generation ${result.generation}.` : `Not activated: ${result.reason}.`) +
    (result.gain ? ` At the worst T (${result.gain.timesteps}) ${measure} changed by ${result.gain.points.toFixed(1)} points (95 %: ${low.toFixed(1)} to ${high.toFixed(1)}), on ${result.pictures.held_out} pictures held out.` : "") +
    (result.pictures.undecodable ? ` ${result.pictures.undecodable} pictures could not be read: ${result.pictures.skipped.map((s) => s.name).join(", ")}.` : "");
  const rows = result.timesteps;
  show("chart-gain", (c) => ({
    type: "bar",
    data: { labels: rows.map((r) => `T=${r.timesteps}`), datasets: [
      { label: `${measure} before`, data: rows.map((r) => r.before[measure]), backgroundColor: c.second },
      { label: `${measure} after`, data: rows.map((r) => r.after[measure]), backgroundColor: c.first }] },
    options: { scales: { y: { min: 0, max: 100, title: { display: true, text: `${measure}, %` } } } },
  }));
  at("table-gain").replaceChildren(table(["T", `${measure} before`, `${measure} after`, "gain, points"], rows.map((r) => [
    r.timesteps, points(r.before[measure]), points(r.after[measure]), r.gain.points.toFixed(2)].map(String)), "Before and after"));
  const first = rows[0]?.layers ?? [];
  at("table-layers").replaceChildren(table(["layer", "potential before", "after", "error before", "after"], first.map((l) => [
    l.name, l.before.potential.mean, l.after.potential.mean, l.before.error, l.after.error].map((v) => (typeof v === "number" ? v.toFixed(4) : v))),
  `Layers at T=${rows[0]?.timesteps}`));
}

async function follow(id) {
  for (;;) {
    const { answer } = await call(`/v1/jobs/${encodeURIComponent(id)}`);
    progress(answer.progress.phase || answer.state, answer.progress.done, answer.progress.total);
    if (answer.state === "succeeded") return answer;
    if (answer.state === "failed") throw new Error(`The job failed: ${answer.error}`);
    if (answer.state === "cancelled") throw new Error("The job was cancelled.");
    await new Promise((wake) => setTimeout(wake, 300));
  }
}

async function calibrate() {
  const form = formOf();
  at("result").hidden = true;
  try {
    job = await upload(form);
    at("cancel").hidden = false;
    showResult(await follow(job.id));
  } finally {
    at("cancel").hidden = true;
    progress(null, 0, 1);
  }
  await showCalibrations();
}

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  attempt(async () => {
    await refresh();
    at("sign-in").hidden = true;
    at("console").hidden = false;
  });
});
at("model").addEventListener("change", () => attempt(showCalibrations));
at("own").addEventListener("click", () => attempt(() => activate(null)));
at("upload").addEventListener("submit", (event) => { event.preventDefault(); attempt(calibrate); });
at("cancel").addEventListener("click", () => attempt(() => call(`/v1/jobs/${encodeURIComponent(job.id)}`, "DELETE")));
