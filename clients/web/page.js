// The page: picture and options at the left, three views of the answer at the right. A change on the left asks the daemon anew; an answer that was
// overtaken by a newer question is dropped.
import { showAnswer, showNone } from "./answer.js";
import { classify, curlCommand, getBlob, getJson, useKey } from "./api.js";
import { compare, forget, offer } from "./compare.js";
import { Picture } from "./picture.js";

const STEPS = [1, 2, 4, 8, 16, 32, 64, 128];
const at = (id) => document.getElementById(id);
const picture = new Picture(at("pad"));
let model = null, running = null, comparing = null, timer = 0;

const timesteps = () => STEPS[Number(at("timesteps").value)];

/** Every option on screen that differs from the model's default. */
function chosen() {
  const options = { timesteps: timesteps() };
  for (const field of at("choices").querySelectorAll("select, input"))
    if (!field.disabled && field.value !== field.dataset.default) options[field.name] = field.value;
  return options;
}

function problem(text) {
  at("problem").hidden = !text;
  at("problem").textContent = text ?? "";
}

/** Show why something did not work, and ask for a key where one is missing. */
function refused(error) {
  problem(error.message);
  at("key-form").hidden = error.status !== 401;
}

const few = (labels) => (labels.length > 12 ? `${labels.slice(0, 12).join(", ")} and ${labels.length - 12} more` : labels.join(", "));
const knows = () => (model.labels ? few(model.labels) : `${model.classes} classes`);
const invitation = () => `Draw, drop, paste or choose a picture; ${model.name} tells apart: ${knows()}.`;

/** What to trace: every step where that can be; a neuron that runs the whole T at once has none. */
const traced = (options) => ((options.neuron ?? model.defaults.neuron) === "asg" ? "layers" : "steps");

/** Everything this page shows is asked for in one request. */
const asked = () => {
  const options = chosen();
  return { ...options, reference: true, preview: true, trace: traced(options), top_k: 10 };
};

let saved = null;
function offerPicture(png) {
  if (saved) URL.revokeObjectURL(saved);
  saved = png ? URL.createObjectURL(png) : null;
  at("save").hidden = !saved;
  at("no-picture").hidden = Boolean(saved);
  if (saved) at("save").href = saved;
}

async function ask() {
  running?.abort();
  if (!model) return;
  at("curl").textContent = curlCommand(model.name, chosen());
  at("curl-all").textContent = curlCommand(model.name, asked());
  if (picture.empty) {
    offerPicture(null);
    showNone(invitation(), false);
    return;
  }
  running = new AbortController();
  const { signal } = running;
  try {
    const png = await picture.png();
    offerPicture(png);
    const answer = await classify(model.name, png, asked(), signal);
    problem(null);
    showAnswer(answer, model.labels);
  } catch (error) {
    if (error.name === "AbortError") return;
    refused(error);
    showNone("No answer to this.", true);
  }
}

function askSoon() {
  clearTimeout(timer);
  timer = setTimeout(ask, 120);
}

function field(name, element, fallback) {
  const label = document.createElement("label");
  label.textContent = name;
  label.htmlFor = element.id = `option-${name}`;
  element.name = name;
  element.dataset.default = element.value = String(fallback);
  return [label, element];
}

function selectOf(values) {
  const select = document.createElement("select");
  select.append(...values.map((value) => new Option(value, value)));
  return select;
}

function showChoices() {
  const fields = Object.entries(model.variants).flatMap(([name, values]) => field(name, selectOf(values), model.defaults[name]));
  fields.push(...field("shift", selectOf(["0", "1"]), model.defaults.shift));
  const number = (attributes) => Object.assign(document.createElement("input"), { type: "number", ...attributes });
  const leak = field("tau", number({ min: 0.05, max: 1, step: 0.05 }), model.defaults.tau ?? 1);
  const seed = field("seed", number({ min: 0, max: 4294967295, step: 1 }), model.defaults.seed ?? 0);
  at("choices").replaceChildren(...fields, ...leak, ...seed);
  const only = (pair, when) => {
    pair[1].disabled = !when;
    for (const element of pair) element.hidden = !when;
  };
  const enable = () => {
    only(leak, at("option-neuron").value.startsWith("lif"));
    only(seed, at("option-encoding").value === "rate");
  };
  for (const name of ["neuron", "encoding"]) at(`option-${name}`).addEventListener("change", enable);
  enable();
}

async function showSamples() {
  at("samples").replaceChildren();
  let names = [];
  try {
    names = (await getJson(`/v1/models/${encodeURIComponent(model.name)}/samples`)).samples;
  } catch { /* a model without samples */ }
  at("no-samples").hidden = names.length > 0;
  at("samples").replaceChildren(...await Promise.all(names.map(async (name) => {
    const button = document.createElement("button"), image = document.createElement("img");
    const blob = await getBlob(`/v1/models/${encodeURIComponent(model.name)}/samples/${encodeURIComponent(name)}`);
    button.type = "button";
    image.src = URL.createObjectURL(blob);
    image.alt = `Sample ${name.replace(/\.png$/, "")}`;
    button.append(image);
    button.addEventListener("click", () => load(blob));
    return button;
  })));
}

async function load(blob) {
  try {
    await picture.load(blob);
  } catch (error) {
    problem(error.message);
  }
}

async function chooseModel() {
  model = await getJson(`/v1/models/${encodeURIComponent(at("model").value)}`);
  const { channels, height, width } = model.input, tones = channels === 1 ? "gray" : channels === 3 ? "RGB" : `${channels} channels`;
  at("about").textContent = `${width} × ${height} ${tones}; ${knows()}`;
  comparing?.abort();
  forget();
  at("model-link").href = `/v1/models/${encodeURIComponent(model.name)}`;
  const nearest = STEPS.findIndex((t) => t >= model.defaults.timesteps);
  at("timesteps").value = String(nearest < 0 ? STEPS.length - 1 : nearest);
  showTimesteps();
  showChoices();
  offer(model);
  await showSamples();
  askSoon();
}

function showTimesteps() {
  at("timesteps-value").textContent = String(timesteps());
  at("timesteps").setAttribute("aria-valuetext", `${timesteps()} steps`);
}

function selectTab(tab, focus) {
  for (const other of document.querySelectorAll("[role=tab]")) {
    const on = other === tab;
    other.setAttribute("aria-selected", String(on));
    other.tabIndex = on ? 0 : -1;
    at(other.getAttribute("aria-controls")).hidden = !on;
  }
  if (focus) tab.focus();
}

/** Dropped anywhere on the page, a picture is taken; the browser does not leave for it. */
function takeDrops() {
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind !== "drop") return;
      if (event.dataTransfer.files[0]) load(event.dataTransfer.files[0]);
      else problem("What was dropped is no file. Save the picture first, then drop its file.");
    });
}

function listen() {
  picture.addEventListener("change", () => { comparing?.abort(); forget(); askSoon(); });
  at("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey(at("key").value.trim());
    start(begin);
  });
  at("options").addEventListener("submit", (event) => event.preventDefault());
  at("model").addEventListener("change", () => start(chooseModel));
  at("timesteps").addEventListener("input", () => { showTimesteps(); askSoon(); });
  at("choices").addEventListener("change", askSoon);
  at("file").addEventListener("change", () => { if (at("file").files[0]) load(at("file").files[0]); at("file").value = ""; });
  at("clear").addEventListener("click", () => { picture.clear(); problem(null); comparing?.abort(); forget(); ask(); });
  at("invert").addEventListener("change", () => { picture.invert = at("invert").checked; });
  takeDrops();
  document.addEventListener("paste", (event) => { const blob = event.clipboardData.files[0]; if (blob) load(blob); });
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const tab of tabs) {
    tab.addEventListener("click", () => selectTab(tab));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (by) selectTab(tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length], true);
    });
  }
  at("compare-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (picture.empty) return problem("Pick or draw a picture first.");
    problem(null);
    comparing?.abort();
    comparing = new AbortController();
    await compare(model, await picture.png(), chosen(), comparing.signal);
  });
  for (const button of document.querySelectorAll("[data-copies]"))
    button.addEventListener("click", async () => {
      const command = at(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(command.textContent);
        at("copied").textContent = "Copied.";
      } catch {
        getSelection().selectAllChildren(command);
        at("copied").textContent = "Selected: copy it with the keyboard.";
      }
    });
}

async function start(what) {
  try {
    await what();
  } catch (error) {
    refused(error);
  }
}

async function begin() {
  const status = await getJson("/v1/status");
  at("server").textContent = `Version ${status.version}, ${status.threads} threads, ${status.kernels} kernels`;
  at("model").replaceChildren(...status.models.map(({ name }) => new Option(name, name)));
  if (!status.models.length) throw new Error("This server has no models loaded.");
  at("key-form").hidden = true;
  problem(null);
  await chooseModel();
}

listen();
await start(begin);
