// The operations page on the admin listener: models, calibrations, a job from upload to activation. The token stays in this tab's memory; every
// refusal is shown in the server's words.
import { show, table, whole } from "./charts.js";

const at = (id) => document.getElementById(id);
let token = "", generation = null, before = null, job = null;

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

/** The calibration in force of one model; where the daemon keeps none (no --state), nothing. */
async function inForce(name) {
  try {
    const { answer } = await call(`/v1/models/${encodeURIComponent(name)}/calibration`);
    return answer.id ? answer.name : "its own";
  } catch {
    return "";
  }
}

async function showModels() {
  const { answer: models } = await call("/v2/repository/index", "POST");
  const rows = await Promise.all(models.map(async (m) => {
    const ready = m.state === "READY", words = { load: ready ? "reload" : "load", unload: "unload" };
    const actions = document.createElement("span");
    actions.className = "row";
    for (const name of ready ? ["load", "unload"] : ["load"])
      actions.append(button(words[name], `${words[name]} ${m.name}`, async () => {
        await call(`/v1/models/${encodeURIComponent(m.name)}/${name}`, "POST");
        await refresh();
      }));
    return [m.name, ready ? "served" : m.reason ? `not served: ${m.reason}` : "not served", ready ? await inForce(m.name) : "", actions];
  }));
  at("models").replaceChildren(table(["model", "state", "calibration", ""], rows, "Models in the model folder"));
  const before = at("model").value, served = models.filter((m) => m.state === "READY").map((m) => m.name);
  at("model").replaceChildren(...served.map((name) => new Option(name, name)));
  if (served.includes(before)) at("model").value = before;
}

const tablesText = (tables) => tables.map((t) => `${t.neuron} ${t.init} T=${t.timesteps}`).join(", ") || "none";

async function activate(id) {
  await call(modelPath("calibration"), "PUT", JSON.stringify({ id }), { "Content-Type": "application/json", "If-Match": generation });
  await refresh();
}

/** The calibration that was in force before: the usable one with the latest generation before this; none: the model's own. */
function previous(calibrations, now) {
  const earlier = calibrations.filter((c) => c.usable && c.id !== now.id)
    .map((c) => [Math.max(0, ...c.generations.filter((g) => g < now.generation)), c.id]).filter(([g]) => g > 0);
  return earlier.sort(([a], [b]) => b - a)[0]?.[1] ?? null;
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
  before = previous(calibrations, now);
  at("back").disabled = !now.id && !before;
  const rows = calibrations.map((c) => [c.id.slice(0, 12), c.usable ? tablesText(c.tables) : `unusable: ${c.reason}`, c.generations.join(", ") || "never",
    c.in_force ? "in force" : c.usable ? button("activate", `activate ${c.id.slice(0, 12)}`, () => activate(c.id)) : ""]);
  if (!rows.length) rows.push(["none yet", "", "", ""]);
  at("calibrations").replaceChildren(table(["calibration", "tables", "generations", ""], rows, "Calibrations kept, the last used first"));
}

async function refresh() {
  await showModels();
  await showCalibrations();
}

/** Add to what is said of files, one by one. */
function sayFiles(lines) {
  at("files-list").append(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  at("files-said").hidden = !at("files-list").childElementCount;
}

/** How far each file got when an upload broke off; what surrounds the files in the body is spread evenly over them. */
function sayBrokenUpload(files, sent, total) {
  const around = files.length ? Math.max(0, total - files.reduce((sum, f) => sum + f.size, 0)) / files.length : 0;
  let end = 0;
  sayFiles(files.map((file) => {
    const begin = end;
    end += file.size + around;
    return `${nameOf(file)}: ${end <= sent ? "sent" : begin < sent ? "broke off in it" : "not sent"}`;
  }));
}

/** POST the form with upload progress, which fetch does not tell. */
function upload(form, files) {
  let sent = 0, total = 0;
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", modelPath("calibrations"));
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      [sent, total] = [event.loaded, event.total];
      progress("uploading", sent, total, " bytes");
    });
    request.addEventListener("load", () => (request.status === 202 ? done(request.response)
      : failed(new Error(request.response?.detail ?? `${request.status} ${request.statusText}`))));
    request.addEventListener("error", () => {
      sayBrokenUpload(files, sent, total);
      failed(new Error("The upload broke off: the server cannot be reached, or hung up. It keeps nothing of it: send all again."));
    });
    request.send(form);
  });
}

function progress(phase, done, total, unit = "") {
  at("progress").hidden = !phase;
  at("progress").max = total || 1;
  at("progress").value = done;
  at("phase").textContent = !phase ? "" : unit ? `${phase}: ${whole(done)} of ${whole(total)}${unit}` : `${phase}: ${whole(100 * done / (total || 1))} %`;
}

function chosenFiles() {
  const all = [...at("folder").files, ...at("files").files], others = all.filter((f) => !/\.png$/i.test(f.name));
  at("files-list").replaceChildren();
  sayFiles(others.map((file) => `${nameOf(file)}: left out, not a .png file`));
  const files = all.filter((f) => !others.includes(f));
  if (!files.length) throw new Error("Choose a folder of PNGs, or PNG pictures.");
  return files;
}

/** LABEL/name.png where the picture lies in a folder of a folder. */
function nameOf(file) {
  const parts = (file.webkitRelativePath || file.name).split("/");
  return parts.length > 2 ? parts.slice(-2).join("/") : parts.at(-1);
}

function formOf(files) {
  const form = new FormData();
  form.append("options", new Blob([JSON.stringify({
    method: at("method").value, timesteps: at("timesteps").value.split(/[\s,]+/).filter(Boolean).map(Number), granularity: at("granularity").value,
    holdout: Number(at("holdout").value), min_gain: Number(at("min-gain").value), activate: at("activate").checked,
  })], { type: "application/json" }));
  for (const file of files) form.append("image", file, nameOf(file));
  return form;
}

const points = (v) => (v === null || v === undefined ? "" : `${v.toFixed(1)} %`);

function showResult(done) {
  const { result } = done, labelled = result.pictures.labelled, measure = labelled ? "accuracy" : "agreement";
  const [low, high] = result.gain?.interval_95 ?? [];
  at("result").hidden = false;
  at("conclusion").textContent = (result.activated ? `Activated as generation ${result.generation}.` : `Not activated: ${result.reason}.`) +
    (result.gain ? ` At the worst T (${result.gain.timesteps}) ${measure} changed by ${result.gain.points.toFixed(1)} points (95 %: ${low.toFixed(1)} to ${high.toFixed(1)}), on ${result.pictures.held_out} pictures held out.` : "") +
    (result.pictures.undecodable ? ` ${whole(result.pictures.undecodable)} of ${whole(result.pictures.received)} pictures could not be read.` : "");
  const { skipped, undecodable } = result.pictures;
  sayFiles(skipped.map((s) => `${s.name}: ${s.reason}`));
  if (undecodable > skipped.length) sayFiles([`and ${undecodable - skipped.length} more that cannot be read`]);
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
  const files = chosenFiles();
  at("result").hidden = true;
  try {
    job = await upload(formOf(files), files);
    at("cancel").hidden = false;
    showResult(await follow(job.id));
  } finally {
    at("cancel").hidden = true;
    progress(null, 0, 1);
  }
  await refresh();
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
at("back").addEventListener("click", () => attempt(() => activate(before)));
at("own").addEventListener("click", () => attempt(() => activate(null)));
at("upload").addEventListener("submit", (event) => { event.preventDefault(); attempt(calibrate); });
at("cancel").addEventListener("click", () => attempt(() => call(`/v1/jobs/${encodeURIComponent(job.id)}`, "DELETE")));
