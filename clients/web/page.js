// The page: picture and options at the left, three views of the answer at the right. A change on the left asks the daemon anew; an answer that was
// overtaken by a newer question is dropped.
import { showAnswer } from "./answer.js";
import { classify, curlCommand, getBlob, getJson } from "./api.js";
import { compare, offer } from "./compare.js";
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



/** What to trace: every step where that can be; a neuron that runs the whole T at once has none. */
const traced = (options) => ((options.neuron ?? model.defaults.neuron) === "asg" ? "layers" : "steps");

async function ask() {
  at("curl").textContent = model ? curlCommand(model.name, chosen()) : "";
  if (!model || picture.empty) return;
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  try {
    const png = await picture.png(), options = chosen();
    const answer = await classify(model.name, png, { ...options, reference: true, preview: true, trace: traced(options), top_k: 10 }, signal);
    problem(null);
    showAnswer(answer, model.labels);
  } catch (error) {
    if (error.name !== "AbortError") problem(error.message);
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
  const tau = Object.assign(document.createElement("input"), { type: "number", min: 0.05, max: 1, step: 0.05 });
  const leak = field("tau", tau, model.defaults.tau ?? 1);
  at("choices").replaceChildren(...fields, ...leak);
  const enable = () => {
    tau.disabled = !at("option-neuron").value.startsWith("lif");
    for (const element of leak) element.hidden = tau.disabled;
  };
  at("option-neuron").addEventListener("change", enable);
  enable();
}

async function showSamples() {
  at("samples").replaceChildren();
  let names = [];
  try {
    names = (await getJson(`/v1/models/${encodeURIComponent(model.name)}/samples`)).samples;
  } catch { /* a model without samples */ }
  at("samples").replaceChildren(...names.map((name) => {
    const button = document.createElement("button"), image = document.createElement("img");
    const path = `/v1/models/${encodeURIComponent(model.name)}/samples/${encodeURIComponent(name)}`;
    button.type = "button";
    image.src = path;
    image.alt = `Sample ${name.replace(/\.png$/, "")}`;
    button.append(image);
    button.addEventListener("click", async () => load(await getBlob(path)));
    return button;
  }));
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

function listen() {
  picture.addEventListener("change", askSoon);
  at("options").addEventListener("submit", (event) => event.preventDefault());
  at("model").addEventListener("change", () => start(chooseModel));
  at("timesteps").addEventListener("input", () => { showTimesteps(); askSoon(); });
  at("choices").addEventListener("change", askSoon);
  at("file").addEventListener("change", () => { if (at("file").files[0]) load(at("file").files[0]); at("file").value = ""; });
  at("clear").addEventListener("click", () => { picture.clear(); problem(null); });
  at("invert").addEventListener("change", () => { picture.invert = at("invert").checked; });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
    at("drop").addEventListener(kind, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files[0]) load(event.dataTransfer.files[0]);
    });
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
    const { neuron, timesteps: steps, ...rest } = chosen();
    await compare(model, await picture.png(), { neuron, timesteps: steps, ...rest }, comparing.signal);
  });
  at("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(at("curl").textContent);
      at("copied").textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(at("curl"));
      at("copied").textContent = "Selected: copy it with the keyboard.";
    }
  });
}

async function start(what) {
  try {
    await what();
  } catch (error) {
    problem(error.message);
  }
}

listen();
await start(async () => {
  const status = await getJson("/v1/status");
  at("server").textContent = `Version ${status.version}, ${status.threads} threads, ${status.kernels} kernels`;
  at("model").replaceChildren(...status.models.map(({ name }) => new Option(name, name)));
  if (!status.models.length) throw new Error("This server has no models loaded.");
  await chooseModel();
});
